/* SPDX-License-Identifier: BSD-2-Clause */
#include "rendezvous/channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "rendezvous/frame.h"
#include "rendezvous/wire.h"

_Static_assert(CHANNEL_MAX_FRAME_BYTES == FRAME_MAX_BODY_BYTES, "one limit, two names");

#define PRIORITY                                                                                   \
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+SHA256:+SHA384:"        \
    "+GROUP-X25519:+SIGN-EdDSA-Ed25519:-CTYPE-ALL:+CTYPE-RAWPK"
#define MAX_HANDSHAKE_BYTES                                                                        \
    8192 /* of one handshake message: bounds what a stranger can make us hold */
#define MAX_RECORD_BYTES 16384
#define MAX_DRAIN_BYTES  65536

enum state { CONNECTING, HANDSHAKING, OPEN, DEAD };

struct channel {
    gnutls_session_t session;
    int fd;
    enum state state;
    int error;
    bool server;
    bool is_relay;     /* of the two protocols it speaks that of relayed datagrams */
    bool started;      /* the handshake has been called: GnuTLS knows its direction */
    bool delivered;    /* the frame in `in` has been given out */
    bool record_stuck; /* GnuTLS holds a record, made from the queue's head, that the socket did not
                          take */
    bool cannot_send;  /* what has arrived may still be read */
    struct frame_cutter in;
    uint8_t *queue; /* unsent bytes: queue[queue_head..queue_tail) */
    size_t queue_head, queue_tail, queue_capacity, max_queue_bytes;
    struct identity_id peer;
    char why[112];
};

static void drop_queue(struct channel *ch)
{
    free(ch->queue);
    ch->queue = NULL;
    ch->queue_head = ch->queue_tail = ch->queue_capacity = 0;
}

__attribute__((format(printf, 3, 4))) static int fail(struct channel *ch, int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ch->why, sizeof(ch->why), format, arguments);
    va_end(arguments);
    ch->state = DEAD;
    ch->error = error;
    drop_queue(ch);
    return error;
}

/* code is what GnuTLS returned; errno still belongs to it. */
static int fail_tls(struct channel *ch, ssize_t code)
{
    int system_error = errno;
    const char *during = ch->state == OPEN ? "session" : "handshake";
    switch (code) {
    case GNUTLS_E_PREMATURE_TERMINATION:
        return fail(ch, CHANNEL_ERR_CLOSED, "%s: the connection was closed without a goodbye",
                    during);
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return fail(ch, CHANNEL_ERR_CLOSED, "%s: %s", during,
                    system_error != 0 ? strerrordesc_np(system_error) : "the connection broke");
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
    case GNUTLS_E_WARNING_ALERT_RECEIVED: {
        const char *alert = gnutls_alert_get_name(gnutls_alert_get(ch->session));
        return fail(ch, CHANNEL_ERR_TLS, "%s: the other side says: %s", during,
                    alert != NULL ? alert : "unknown alert");
    }
    default:
        return fail(ch, CHANNEL_ERR_TLS, "%s: %s", during, gnutls_strerror((int)code));
    }
}

/* TCP first: TLS would only see that nothing can be sent yet. */
static int continue_connect(struct channel *ch)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(ch->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error != 0) {
        return fail(ch, CHANNEL_ERR_CLOSED, "connect: %s", strerrordesc_np(error));
    }
    struct sockaddr_storage peer;
    socklen_t peer_bytes = sizeof(peer);
    if (getpeername(ch->fd, (struct sockaddr *)&peer, &peer_bytes) == 0) {
        ch->state = HANDSHAKING;
    } else if (errno != ENOTCONN) {
        return fail(ch, CHANNEL_ERR_CLOSED, "connect: %s", strerrordesc_np(errno));
    }
    return CHANNEL_OK;
}

static bool is_protocol(const gnutls_datum_t *chosen, const char *name)
{
    return chosen->size == strlen(name) && memcmp(chosen->data, name, chosen->size) == 0;
}

/* ALPN is mandatory, but GnuTLS only enforces that on those who offer something. */
static bool speaks_our_protocol(struct channel *ch)
{
    gnutls_datum_t chosen;
    if (gnutls_alpn_get_selected_protocol(ch->session, &chosen) != 0) {
        return false;
    }
    ch->is_relay = is_protocol(&chosen, WIRE_RELAY_ALPN);
    return ch->is_relay || is_protocol(&chosen, WIRE_ALPN);
}

/* TLS proves that the other side can sign for its key. Of a key of small order everybody can, so it
 * is nobody's ID; the conversion refuses those. */
static bool learn_peer(struct channel *ch)
{
    uint8_t unused[32];
    return rawkey_peer_id(ch->session, &ch->peer) == IDENTITY_OK &&
           identity_to_x25519_public(&ch->peer, unused) == IDENTITY_OK;
}

static int continue_handshake(struct channel *ch)
{
    int code;
    ch->started = true;
    do {
        errno = 0;
        code = gnutls_handshake(ch->session);
    } while (code == GNUTLS_E_INTERRUPTED);
    if (code == GNUTLS_E_AGAIN) {
        return CHANNEL_OK;
    }
    if (code != 0) {
        int error = fail_tls(ch, code);
        gnutls_alert_send_appropriate(ch->session, code);
        return error;
    }
    if (!speaks_our_protocol(ch)) {
        gnutls_alert_send(ch->session, GNUTLS_AL_FATAL, GNUTLS_A_NO_APPLICATION_PROTOCOL);
        return fail(ch, CHANNEL_ERR_TLS, "handshake: the other side does not speak " WIRE_ALPN);
    }
    if (!learn_peer(ch)) {
        gnutls_alert_send(ch->session, GNUTLS_AL_FATAL, GNUTLS_A_BAD_CERTIFICATE);
        return fail(ch, CHANNEL_ERR_TLS, "handshake: the other side's key is not an Ed25519 key");
    }
    ch->state = OPEN;
    return CHANNEL_OK;
}

/* Sends what the socket takes. A socket that takes no more for good does not end the channel: the
 * other side's last words may still be waiting to be read. */
static void flush(struct channel *ch)
{
    while (ch->queue_head < ch->queue_tail) {
        size_t bytes = ch->queue_tail - ch->queue_head;
        bytes = bytes < MAX_RECORD_BYTES ? bytes : MAX_RECORD_BYTES;
        ssize_t sent = ch->record_stuck
                           ? gnutls_record_send(ch->session, NULL, 0)
                           : gnutls_record_send(ch->session, ch->queue + ch->queue_head, bytes);
        if (sent == GNUTLS_E_INTERRUPTED || sent == GNUTLS_E_AGAIN) {
            ch->record_stuck = true;
            if (sent == GNUTLS_E_AGAIN) {
                return;
            }
            continue;
        }
        if (sent <= 0) {
            ch->cannot_send = true;
            break;
        }
        ch->record_stuck = false;
        ch->queue_head += (size_t)sent;
    }
    drop_queue(ch);
}

/* Makes room for bytes behind the tail. */
static bool grow_queue(struct channel *ch, size_t bytes)
{
    if (ch->queue_capacity - ch->queue_tail >= bytes) {
        return true;
    }
    size_t used = ch->queue_tail - ch->queue_head;
    if (ch->queue_head > 0) {
        memmove(ch->queue, ch->queue + ch->queue_head, used);
        ch->queue_head = 0;
        ch->queue_tail = used;
    }
    if (ch->queue_capacity - used >= bytes) {
        return true;
    }
    size_t capacity = 2 * ch->queue_capacity;
    capacity = capacity < ch->max_queue_bytes ? capacity : ch->max_queue_bytes;
    capacity = capacity > used + bytes ? capacity : used + bytes;
    uint8_t *queue = realloc(ch->queue, capacity);
    if (queue == NULL) {
        return false;
    }
    ch->queue = queue;
    ch->queue_capacity = capacity;
    return true;
}

/* What is unread when a TCP socket is closed turns the close into a reset, and a reset destroys
 * what the other side has not read yet. */
static void drain(int fd)
{
    uint8_t unread[4096];
    shutdown(fd, SHUT_WR);
    for (size_t total = 0; total < MAX_DRAIN_BYTES;) {
        ssize_t n = recv(fd, unread, sizeof(unread), MSG_DONTWAIT);
        if (n <= 0) {
            return;
        }
        total += (size_t)n;
    }
}

static int start_session(struct channel *ch, const struct channel_config *config)
{
    static const char control[] = WIRE_ALPN, relay[] = WIRE_RELAY_ALPN;
    const gnutls_datum_t protocols[] = {
        {.data = (unsigned char *)(uintptr_t)control, .size = sizeof(control) - 1},
        {.data = (unsigned char *)(uintptr_t)relay, .size = sizeof(relay) - 1},
    };
    const gnutls_datum_t *spoken = !config->server && config->for_relay ? protocols + 1 : protocols;
    unsigned spoken_count = config->server ? 2 : 1;
    unsigned flags = (config->server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
                     GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS | GNUTLS_ENABLE_RAWPK;
    if (gnutls_init(&ch->session, flags) != 0) {
        ch->session = NULL;
        return CHANNEL_ERR_MEMORY;
    }
    int priority_set = config->priority != NULL
                           ? gnutls_priority_set(ch->session, config->priority)
                           : gnutls_priority_set_direct(ch->session, PRIORITY, NULL);
    if (priority_set != 0 ||
        gnutls_credentials_set(ch->session, GNUTLS_CRD_CERTIFICATE, config->credentials) != 0 ||
        gnutls_alpn_set_protocols(ch->session, spoken, spoken_count, GNUTLS_ALPN_MANDATORY) != 0) {
        return CHANNEL_ERR_TLS;
    }
    if (config->server) {
        gnutls_certificate_server_set_request(ch->session, GNUTLS_CERT_REQUIRE);
    }
    gnutls_handshake_set_max_packet_length(ch->session, MAX_HANDSHAKE_BYTES);
    gnutls_handshake_set_timeout(ch->session, GNUTLS_INDEFINITE_TIMEOUT);
    gnutls_transport_set_int(ch->session, ch->fd);
    return CHANNEL_OK;
}

int channel_priority(gnutls_priority_t *out)
{
    return gnutls_priority_init(out, PRIORITY, NULL) == 0 ? CHANNEL_OK : CHANNEL_ERR_MEMORY;
}

int channel_new(struct channel **out, const struct channel_config *config)
{
    *out = NULL;
    struct channel *ch = calloc(1, sizeof(*ch));
    if (ch == NULL) {
        close(config->fd);
        return CHANNEL_ERR_MEMORY;
    }
    ch->fd = config->fd;
    ch->server = config->server;
    ch->state = config->server ? HANDSHAKING : CONNECTING;
    ch->max_queue_bytes = config->max_queue_bytes;
    int error = start_session(ch, config);
    if (error != CHANNEL_OK) {
        channel_free(ch);
        return error;
    }
    /* Every frame is a whole message that someone waits for. Fails on what is not TCP. */
    setsockopt(ch->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    *out = ch;
    return CHANNEL_OK;
}

void channel_free(struct channel *ch)
{
    if (ch == NULL) {
        return;
    }
    if (ch->state == OPEN) {
        flush(ch);
    }
    bool may_say_goodbye = ch->state == OPEN || ch->error == CHANNEL_ERR_FRAME;
    if (may_say_goodbye && !ch->cannot_send && ch->queue == NULL) {
        gnutls_bye(ch->session, GNUTLS_SHUT_WR);
    }
    if (ch->error != CHANNEL_ERR_CLOSED) {
        drain(ch->fd);
    }
    if (ch->session != NULL) {
        gnutls_deinit(ch->session);
    }
    frame_cutter_drop(&ch->in);
    drop_queue(ch);
    close(ch->fd);
    free(ch);
}

int channel_process(struct channel *ch)
{
    if (ch->state == CONNECTING && continue_connect(ch) != CHANNEL_OK) {
        return ch->error;
    }
    if (ch->state == HANDSHAKING) {
        continue_handshake(ch);
    } else if (ch->state == OPEN) {
        flush(ch);
    }
    return ch->error;
}

bool channel_is_open(const struct channel *ch)
{
    return ch->state == OPEN;
}

bool channel_wants_write(const struct channel *ch)
{
    switch (ch->state) {
    case CONNECTING:
        return true;
    case HANDSHAKING:
        return ch->started ? gnutls_record_get_direction(ch->session) == 1 : !ch->server;
    case OPEN:
        return ch->queue != NULL;
    case DEAD:
        break;
    }
    return false;
}

int channel_fd(const struct channel *ch)
{
    return ch->fd;
}

bool channel_is_relay(const struct channel *ch)
{
    return ch->is_relay;
}

const struct identity_id *channel_peer(const struct channel *ch)
{
    return &ch->peer;
}

int channel_receive(struct channel *ch, const uint8_t **frame, size_t *size)
{
    if (ch->delivered) {
        frame_cutter_drop(&ch->in);
        ch->delivered = false;
    }
    if (ch->state != OPEN) {
        return ch->error;
    }
    for (;;) {
        size_t room;
        uint8_t *at = frame_cutter_room(&ch->in, &room);
        errno = 0;
        ssize_t got = gnutls_record_recv(ch->session, at, room);
        if (got == GNUTLS_E_AGAIN) {
            return 0;
        }
        if (got == GNUTLS_E_INTERRUPTED) {
            continue;
        }
        if (got == 0) {
            return fail(ch, CHANNEL_ERR_CLOSED, "the other side closed the session%s",
                        ch->in.received > 0 ? " in the middle of a frame" : "");
        }
        if (got < 0) {
            return fail_tls(ch, got);
        }
        int whole = frame_cutter_fill(&ch->in, (size_t)got);
        if (whole == FRAME_ERR_SIZE) {
            return fail(ch, CHANNEL_ERR_FRAME, "the other side sent a frame of %d bytes",
                        ch->in.header[0] << 8 | ch->in.header[1]);
        }
        if (whole == FRAME_ERR_MEMORY) {
            return fail(ch, CHANNEL_ERR_MEMORY, "out of memory for a frame");
        }
        if (whole == 1) {
            ch->delivered = true;
            *frame = ch->in.body;
            *size = ch->in.body_bytes;
            return 1;
        }
    }
}

int channel_queue(struct channel *ch, const uint8_t *frame, size_t size)
{
    if (ch->state == DEAD) {
        return ch->error;
    }
    if (ch->state != OPEN) {
        return CHANNEL_ERR_NOT_OPEN;
    }
    if (size == 0 || size > CHANNEL_MAX_FRAME_BYTES) {
        return CHANNEL_ERR_FRAME;
    }
    if (ch->cannot_send) {
        return CHANNEL_ERR_CLOSED;
    }
    size_t bytes = FRAME_HEADER_BYTES + size;
    if (channel_queued_bytes(ch) + bytes > ch->max_queue_bytes) {
        return CHANNEL_ERR_QUEUE_FULL;
    }
    if (!grow_queue(ch, bytes)) {
        return CHANNEL_ERR_MEMORY;
    }
    frame_write_header(ch->queue + ch->queue_tail, size);
    memcpy(ch->queue + ch->queue_tail + FRAME_HEADER_BYTES, frame, size);
    ch->queue_tail += bytes;
    return CHANNEL_OK;
}

int channel_send(struct channel *ch, const uint8_t *frame, size_t size)
{
    if (ch->state == OPEN) {
        flush(ch);
    }
    int error = channel_queue(ch, frame, size);
    if (error != CHANNEL_OK) {
        return error;
    }
    flush(ch);
    return ch->cannot_send ? CHANNEL_ERR_CLOSED : CHANNEL_OK;
}

size_t channel_queued_bytes(const struct channel *ch)
{
    return ch->queue_tail - ch->queue_head;
}

const char *channel_why(const struct channel *ch)
{
    return ch->why;
}
