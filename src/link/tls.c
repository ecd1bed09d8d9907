/* SPDX-License-Identifier: BSD-2-Clause */
#include "identity/rawkey.h"
#include "link/connection.h"

/* AES-128-GCM first: with the instructions of today's processors it costs a seventh of ChaCha20 in
 * GnuTLS. The compatibility mode would put a useless session ID into the first flight. */
#define PRIORITY                                                                                   \
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+SHA256:+SHA384:"        \
    "+GROUP-X25519:+SIGN-EDDSA-ED25519:+CTYPE-RAWPK:%DISABLE_TLS13_COMPAT_MODE"

#define ALPN "eyelet-link/1"

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    struct link *link = ref->user_data;
    return link->conn;
}

/* GnuTLS calls this after it has verified the peer's signature with the key that the peer sent. */
static int verify_peer(gnutls_session_t session)
{
    ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(session);
    struct link *link = ref->user_data;
    return link_tls_check_peer(link) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

static int configure(struct link *link, gnutls_certificate_credentials_t credentials)
{
    gnutls_session_t session = link->session;
    gnutls_datum_t alpn = {.data = (unsigned char *)(uintptr_t)ALPN, .size = sizeof(ALPN) - 1};
    if (gnutls_priority_set_direct(session, PRIORITY, NULL) != 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials) != 0 ||
        gnutls_alpn_set_protocols(session, &alpn, 1, GNUTLS_ALPN_MANDATORY) != 0) {
        return LINK_ERR_CRYPTO;
    }
    int rv = link->is_server ? ngtcp2_crypto_gnutls_configure_server_session(session)
                             : ngtcp2_crypto_gnutls_configure_client_session(session);
    if (rv != 0) {
        return LINK_ERR_CRYPTO;
    }
    if (link->is_server) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    }
    gnutls_session_set_verify_function(session, verify_peer);
    gnutls_session_set_ptr(session, &link->conn_ref);
    return LINK_OK;
}

bool link_tls_check_peer(struct link *link)
{
    struct identity_id found;
    if (rawkey_peer_id(link->session, &found) == IDENTITY_OK &&
        identity_equal(&found, &link->peer)) {
        return true;
    }
    link->is_wrong_peer = true;
    return false;
}

int link_tls_init(struct link *link, gnutls_certificate_credentials_t credentials)
{
    link->conn_ref.get_conn = conn_of;
    link->conn_ref.user_data = link;
    unsigned flags = GNUTLS_ENABLE_RAWPK | GNUTLS_NO_TICKETS;
    flags |= link->is_server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT;
    if (gnutls_init(&link->session, flags) != 0) {
        link->session = NULL;
        return LINK_ERR_CRYPTO;
    }
    return configure(link, credentials);
}
