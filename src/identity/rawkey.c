/* SPDX-License-Identifier: BSD-2-Clause */
#include "identity/rawkey.h"

#include <gnutls/abstract.h>
#include <string.h>

static gnutls_datum_t datum(const uint8_t bytes[static 32])
{
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)bytes, .size = 32};
}

static int import_private(const struct identity *self, gnutls_privkey_t *out)
{
    gnutls_datum_t x = datum(self->id.bytes);
    gnutls_datum_t k = datum(self->seed);
    if (gnutls_privkey_init(out) != 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    if (gnutls_privkey_import_ecc_raw(*out, GNUTLS_ECC_CURVE_ED25519, &x, NULL, &k) != 0) {
        gnutls_privkey_deinit(*out);
        return IDENTITY_ERR_CRYPTO;
    }
    return IDENTITY_OK;
}

static int import_certificate(const struct identity *self, gnutls_pcert_st *out)
{
    gnutls_datum_t x = datum(self->id.bytes);
    gnutls_pubkey_t key;
    if (gnutls_pubkey_init(&key) != 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    /* On success the certificate owns the key. */
    if (gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &x, NULL) != 0 ||
        gnutls_pcert_import_rawpk(out, key, 0) != 0) {
        gnutls_pubkey_deinit(key);
        return IDENTITY_ERR_CRYPTO;
    }
    return IDENTITY_OK;
}

int rawkey_credentials(const struct identity *self, gnutls_certificate_credentials_t *out)
{
    gnutls_pcert_st certificate;
    gnutls_certificate_credentials_t credentials = NULL;
    gnutls_privkey_t key = NULL;
    bool have_certificate = false;
    if (gnutls_certificate_allocate_credentials(&credentials) != 0) {
        goto fail;
    }
    if (import_private(self, &key) != IDENTITY_OK) {
        key = NULL;
        goto fail;
    }
    if (import_certificate(self, &certificate) != IDENTITY_OK) {
        goto fail;
    }
    have_certificate = true;
    /* On success the credentials own the key and what the certificate points to. */
    if (gnutls_certificate_set_key(credentials, NULL, 0, &certificate, 1, key) < 0) {
        goto fail;
    }
    *out = credentials;
    return IDENTITY_OK;
fail:
    if (have_certificate) {
        gnutls_pcert_deinit(&certificate);
    }
    if (key != NULL) {
        gnutls_privkey_deinit(key);
    }
    if (credentials != NULL) {
        gnutls_certificate_free_credentials(credentials);
    }
    return IDENTITY_ERR_CRYPTO;
}

int rawkey_peer_id(gnutls_session_t session, struct identity_id *out)
{
    if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_RAWPK) {
        return IDENTITY_ERR_CRYPTO;
    }
    unsigned count = 0;
    const gnutls_datum_t *info = gnutls_certificate_get_peers(session, &count);
    gnutls_pubkey_t key;
    if (info == NULL || count != 1 || gnutls_pubkey_init(&key) != 0) {
        return IDENTITY_ERR_CRYPTO;
    }
    int rv = IDENTITY_ERR_CRYPTO;
    gnutls_ecc_curve_t curve;
    gnutls_datum_t x = {0};
    gnutls_datum_t y = {0};
    if (gnutls_pubkey_import(key, info, GNUTLS_X509_FMT_DER) == 0 &&
        gnutls_pubkey_get_pk_algorithm(key, NULL) == GNUTLS_PK_EDDSA_ED25519 &&
        gnutls_pubkey_export_ecc_raw(key, &curve, &x, &y) == 0) {
        if (curve == GNUTLS_ECC_CURVE_ED25519 && x.size == IDENTITY_ID_BYTES) {
            memcpy(out->bytes, x.data, IDENTITY_ID_BYTES);
            rv = IDENTITY_OK;
        }
        gnutls_free(x.data);
        gnutls_free(y.data);
    }
    gnutls_pubkey_deinit(key);
    return rv;
}
