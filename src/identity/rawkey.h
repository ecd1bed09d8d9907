/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS credentials that are nothing but an Ed25519 raw public key (RFC 7250), for the link's QUIC
 * and for the mediator's TLS session. */
#ifndef IDENTITY_RAWKEY_H
#define IDENTITY_RAWKEY_H

#include <gnutls/gnutls.h>

#include "identity/identity.h"

/* Credentials holding the key pair; the caller frees with gnutls_certificate_free_credentials.
 * One value can serve many sessions. Returns IDENTITY_OK or IDENTITY_ERR_CRYPTO. */
int rawkey_credentials(const struct identity *self, gnutls_certificate_credentials_t *out);

/* The key that the other side of a session has proven to hold. Call it in or after the handshake.
 * Returns IDENTITY_OK, or IDENTITY_ERR_CRYPTO if the peer sent none or one that isn't Ed25519. */
int rawkey_peer_id(gnutls_session_t session, struct identity_id *out);

#endif
