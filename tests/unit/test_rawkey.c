/* SPDX-License-Identifier: BSD-2-Clause */
/* A TLS 1.3 session in memory, each side with a raw key. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "identity/rawkey.h"

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CTYPE-ALL:+CTYPE-RAWPK"

struct half {
    uint8_t bytes[16384];
    size_t used;
    struct half *other;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static ssize_t pull(gnutls_transport_ptr_t context, void *out, size_t size)
{
    struct half *half = context;
    if (half->used == 0) {
        gnutls_transport_set_errno(half->session, EAGAIN);
        return -1;
    }
    size_t take = size < half->used ? size : half->used;
    memcpy(out, half->bytes, take);
    memmove(half->bytes, half->bytes + take, half->used - take);
    half->used -= take;
    return (ssize_t)take;
}

static ssize_t push(gnutls_transport_ptr_t context, const void *bytes, size_t size)
{
    struct half *to = ((struct half *)context)->other;
    assert_true(to->used + size <= sizeof(to->bytes));
    memcpy(to->bytes + to->used, bytes, size);
    to->used += size;
    return (ssize_t)size;
}

static int no_timeout(gnutls_transport_ptr_t context, unsigned ms)
{
    (void)context;
    (void)ms;
    return 1;
}

static void half_start(struct half *half, struct half *other, const struct identity *self,
                       unsigned flags)
{
    memset(half, 0, sizeof(*half));
    half->other = other;
    assert_int_equal(rawkey_credentials(self, &half->credentials), IDENTITY_OK);
    assert_int_equal(gnutls_init(&half->session, flags | GNUTLS_ENABLE_RAWPK | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_priority_set_direct(half->session, PRIORITY, NULL), 0);
    gnutls_credentials_set(half->session, GNUTLS_CRD_CERTIFICATE, half->credentials);
    gnutls_transport_set_ptr(half->session, half);
    gnutls_transport_set_pull_function(half->session, pull);
    gnutls_transport_set_push_function(half->session, push);
    gnutls_transport_set_pull_timeout_function(half->session, no_timeout);
}

static void half_stop(struct half *half)
{
    gnutls_deinit(half->session);
    gnutls_certificate_free_credentials(half->credentials);
}

static bool shake(struct half *a, struct half *b)
{
    int ra = GNUTLS_E_AGAIN;
    int rb = GNUTLS_E_AGAIN;
    for (int i = 0; i < 20 && (ra == GNUTLS_E_AGAIN || rb == GNUTLS_E_AGAIN); i++) {
        if (ra == GNUTLS_E_AGAIN) {
            ra = gnutls_handshake(a->session);
        }
        if (rb == GNUTLS_E_AGAIN) {
            rb = gnutls_handshake(b->session);
        }
    }
    return ra == 0 && rb == 0;
}

static void test_mutual(void **state)
{
    (void)state;
    struct identity client_id;
    struct identity server_id;
    identity_generate(&client_id);
    identity_generate(&server_id);
    struct half client;
    struct half server;
    half_start(&client, &server, &client_id, GNUTLS_CLIENT);
    half_start(&server, &client, &server_id, GNUTLS_SERVER);
    gnutls_certificate_server_set_request(server.session, GNUTLS_CERT_REQUIRE);
    struct identity_id found;
    assert_int_equal(rawkey_peer_id(client.session, &found), IDENTITY_ERR_CRYPTO);
    assert_true(shake(&client, &server));
    assert_int_equal(rawkey_peer_id(client.session, &found), IDENTITY_OK);
    assert_true(identity_equal(&found, &server_id.id));
    assert_int_equal(rawkey_peer_id(server.session, &found), IDENTITY_OK);
    assert_true(identity_equal(&found, &client_id.id));
    half_stop(&client);
    half_stop(&server);
}

static void test_client_unasked(void **state)
{
    (void)state;
    struct identity client_id;
    struct identity server_id;
    identity_generate(&client_id);
    identity_generate(&server_id);
    struct half client;
    struct half server;
    half_start(&client, &server, &client_id, GNUTLS_CLIENT);
    half_start(&server, &client, &server_id, GNUTLS_SERVER);
    assert_true(shake(&client, &server));
    struct identity_id found;
    assert_int_equal(rawkey_peer_id(client.session, &found), IDENTITY_OK);
    assert_int_equal(rawkey_peer_id(server.session, &found), IDENTITY_ERR_CRYPTO);
    half_stop(&client);
    half_stop(&server);
}

/* A seed that does not belong to the public key must not be able to prove that key. */
static void test_foreign_seed(void **state)
{
    (void)state;
    struct identity client_id;
    struct identity server_id;
    struct identity thief;
    identity_generate(&client_id);
    identity_generate(&server_id);
    identity_generate(&thief);
    thief.id = server_id.id;
    struct half client;
    struct half server;
    half_start(&client, &server, &client_id, GNUTLS_CLIENT);
    half_start(&server, &client, &thief, GNUTLS_SERVER);
    assert_false(shake(&client, &server));
    half_stop(&client);
    half_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutual),
        cmocka_unit_test(test_client_unasked),
        cmocka_unit_test(test_foreign_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
