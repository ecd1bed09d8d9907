/* SPDX-License-Identifier: BSD-2-Clause */
/* eyelet-replay: dials a peer by hand, keeps what it sealed, and sends it again later: what a
 * mediator or whoever records at one could do. eyelet-replay record KEY_FILE MEDIATOR_IP OWN_IP
 * PEER FILE   dials, writes the sealed dial to FILE eyelet-replay replay KEY_FILE MEDIATOR_IP
 * OWN_IP PEER FILE   sends what is in FILE Prints how many datagrams and notes came from the peer
 * because of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "identity/rawkey.h"
#include "rendezvous/channel.h"
#include "rendezvous/dial.h"
#include "rendezvous/wire.h"

#define LISTEN_MS 2000

struct recorded {
    uint8_t dial_id[WIRE_DIAL_ID_BYTES];
    uint32_t sealed_bytes;
    uint8_t sealed[WIRE_MAX_SEALED_BYTES];
};

struct replayer {
    struct identity self;
    struct channel *channel;
    int udp;
    struct stun_addr own;
    bool registered, refused;
    unsigned datagrams, notes;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void take_frame(struct replayer *r, const uint8_t *frame, size_t size)
{
    wire_FromMediator message;
    const char *why;
    if (!wire_decode_from_mediator(frame, size, &message, &why))
        return;
    if (message.which_body == wire_FromMediator_registered_tag)
        r->registered = true;
    else if (message.which_body == wire_FromMediator_dial_note_tag)
        r->notes++;
    else if (message.which_body == wire_FromMediator_error_tag) {
        r->refused = true; /* and the mediator may end the session for it */
        fprintf(stderr, "eyelet-replay: the mediator says: %s\n", message.body.error.text);
    }
}

/* Until registered (if asked for) or the time is over. */
static bool run(struct replayer *r, uint64_t ms, bool until_registered)
{
    for (uint64_t end = now_ms() + ms; now_ms() < end && !(until_registered && r->registered);) {
        struct pollfd fds[2] = {{.fd = channel_fd(r->channel), .events = POLLIN},
                                {.fd = r->udp, .events = POLLIN}};
        if (channel_wants_write(r->channel))
            fds[0].events |= POLLOUT;
        poll(fds, 2, 20);
        uint8_t packet[2048];
        while (recv(r->udp, packet, sizeof(packet), MSG_DONTWAIT) > 0)
            r->datagrams++;
        if (channel_process(r->channel) < 0)
            return r->refused;
        const uint8_t *frame;
        size_t size;
        int got;
        while ((got = channel_receive(r->channel, &frame, &size)) == 1)
            take_frame(r, frame, size);
        if (got < 0)
            return r->refused;
    }
    return true;
}

static bool say(struct replayer *r, const wire_ToMediator *message)
{
    uint8_t buffer[CHANNEL_MAX_FRAME_BYTES];
    size_t size = wire_encode_to_mediator(message, buffer, sizeof(buffer));
    return size > 0 && channel_send(r->channel, buffer, size) == CHANNEL_OK;
}

static void put_coordinates(const struct replayer *r, wire_Coordinates *out)
{
    out->candidates_count = 1;
    out->candidates[0].kind = wire_CandidateKind_CANDIDATE_SERVER_REFLEXIVE;
    out->candidates[0].has_address = true;
    wire_from_addr(&r->own, &out->candidates[0].address);
}

static bool join(struct replayer *r, gnutls_certificate_credentials_t credentials,
                 const char *mediator)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(WIRE_DEFAULT_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (inet_pton(AF_INET, mediator, &to.sin_addr) != 1 || fd < 0 ||
        (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS))
        return false;
    struct channel_config config = {.fd = fd, .credentials = credentials, .max_queue_bytes = 65536};
    if (channel_new(&r->channel, &config) != CHANNEL_OK)
        return false;
    for (uint64_t end = now_ms() + 5000; !channel_is_open(r->channel) && now_ms() < end;)
        if (!run(r, 20, false))
            return false;
    static const wire_ToMediator blank;
    wire_ToMediator message = blank;
    message.which_body = wire_ToMediator_registration_tag;
    message.body.registration.has_coordinates = true;
    put_coordinates(r, &message.body.registration.coordinates);
    return say(r, &message) && run(r, 5000, true) && r->registered;
}

static bool open_udp(struct replayer *r, const char *own_ip)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof(at);
    r->udp = socket(AF_INET, SOCK_DGRAM, 0);
    if (inet_pton(AF_INET, own_ip, &at.sin_addr) != 1 || r->udp < 0 ||
        bind(r->udp, (struct sockaddr *)&at, size) < 0 ||
        getsockname(r->udp, (struct sockaddr *)&at, &size) < 0)
        return false;
    r->own = stun_addr_from_ip((const uint8_t *)&at.sin_addr, 4, ntohs(at.sin_port));
    return true;
}

/* A dial for the bare socket, as any caller makes it. */
static bool seal(const struct replayer *r, const struct identity_id *peer, struct recorded *out)
{
    struct dial_offer offer = {.caller = r->self.id, .callee = *peer};
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    offer.timestamp_us = (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
    identity_random(NULL, offer.dial_id, sizeof(offer.dial_id));
    identity_random(NULL, offer.secret, sizeof(offer.secret));
    memcpy(out->dial_id, offer.dial_id, sizeof(out->dial_id));
    size_t bytes;
    if (dial_seal(&r->self, &offer, out->sealed, &bytes) != DIAL_OK)
        return false;
    out->sealed_bytes = (uint32_t)bytes;
    return true;
}

static bool keep(const char *path, struct recorded *recorded, bool write)
{
    FILE *file = fopen(path, write ? "wb" : "rb");
    if (!file)
        return false;
    bool ok = (write ? fwrite(recorded, sizeof(*recorded), 1, file)
                     : fread(recorded, sizeof(*recorded), 1, file)) == 1;
    return fclose(file) == 0 && ok && recorded->sealed_bytes <= sizeof(recorded->sealed);
}

static bool dial(struct replayer *r, const struct identity_id *peer,
                 const struct recorded *recorded)
{
    wire_ToMediator message = {.which_body = wire_ToMediator_get_peer_tag};
    wire_GetPeer *get = &message.body.get_peer;
    get->dial_id.size = sizeof(recorded->dial_id);
    memcpy(get->dial_id.bytes, recorded->dial_id, sizeof(recorded->dial_id));
    get->peer_id.size = sizeof(peer->bytes);
    memcpy(get->peer_id.bytes, peer->bytes, sizeof(peer->bytes));
    get->has_coordinates = true;
    put_coordinates(r, &get->coordinates);
    get->sealed.size = (pb_size_t)recorded->sealed_bytes;
    memcpy(get->sealed.bytes, recorded->sealed, recorded->sealed_bytes);
    return say(r, &message) && run(r, LISTEN_MS, false);
}

int main(int argc, char **argv)
{
    struct replayer r = {.udp = -1};
    struct identity_id peer;
    struct recorded recorded = {.sealed_bytes = 0};
    gnutls_certificate_credentials_t credentials = NULL;
    if (argc != 7 || !identity_parse(argv[5], strlen(argv[5]), &peer))
        return 2;
    bool record = strcmp(argv[1], "record") == 0;
    bool ok = identity_load_or_create(argv[2], &r.self) == IDENTITY_OK &&
              rawkey_credentials(&r.self, &credentials) == IDENTITY_OK && open_udp(&r, argv[4]) &&
              join(&r, credentials, argv[3]) && (!record || seal(&r, &peer, &recorded)) &&
              keep(argv[6], &recorded, record) && dial(&r, &peer, &recorded);
    if (ok)
        printf("%u datagrams, %u notes\n", r.datagrams, r.notes);
    else
        fprintf(stderr, "eyelet-replay: failed: %s\n",
                r.channel ? channel_why(r.channel) : strerror(errno));
    channel_free(r.channel);
    if (credentials)
        gnutls_certificate_free_credentials(credentials);
    identity_wipe(&r.self);
    if (r.udp >= 0)
        close(r.udp);
    return ok ? 0 : 1;
}
