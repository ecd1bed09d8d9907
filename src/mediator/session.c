/* SPDX-License-Identifier: BSD-2-Clause */
#include "mediator/session.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mediator/dial_life.h"
#include "mediator/introduce.h"
#include "mediator/resume.h"
#include "mediator/server.h"
#include "mediator/sockets.h"

#define SESSION_REPLACE_EVERY_US (10u * 1000000u)
#define SESSION_REPLACE_BURST    5
#define SESSION_MAX_OF_ONE_ID    64
#define SESSION_DISCARD_BYTES    4096
#define SESSION_DISCARD_READS    16

static void session_on_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;

    sodium_memzero(&session->attested, sizeof session->attested);
    free(session->allowed);
    free(session);
}

static void session_set_allowed(struct session *session, const wire_Register *msg)
{
    struct identity_id *allowed = NULL;
    size_t count = msg->visibility == wire_Visibility_VISIBLE_TO_LISTED ? msg->allowed_count : 0;

    if (count > 0)
        allowed = calloc(count, sizeof *allowed);
    if (allowed == NULL)
        count = 0; /* without memory it is visible to fewer, never to more */
    for (size_t i = 0; i < count; i++)
        memcpy(allowed[i].bytes, msg->allowed[i].bytes, sizeof allowed[i].bytes);
    free(session->allowed);
    session->allowed = allowed;
    session->allowed_count = (uint8_t)count;
}

static uint64_t session_new_id(const struct registry *registry)
{
    uint64_t id;

    do {
        randombytes_buf(&id, sizeof id);
    } while (id == 0 || registry_by_session(registry, id) != NULL);
    return id;
}

static const char session_has_successor[] = "another program waits for calls with this key now";

/* The newer session wins, since the older one may be dead without knowing it. But two living
 * programs with one key would throw each other out for ever: then the older one stays. */
static bool session_replace(struct session *session, struct session *older, uint64_t now_us)
{
    struct server *server = session->server;
    char name[SESSION_SHORT_ID_BYTES];
    bool same = session->entry.instance == older->entry.instance;
    bool known = same && session->entry.instance != 0;

    session->replacements = older->replacements;
    if (!known && !limit_take_every(&session->replacements, SESSION_REPLACE_EVERY_US,
                                    SESSION_REPLACE_BURST, now_us)) {
        log_warn(&server->log,
                 "%s: several programs seem to use this key at once; "
                 "keeping the older session",
                 session_short_id(session, name));
        session_end(session, wire_ErrorCode_ERROR_TOO_MANY, NULL,
                    "this ID registers again and again: is its key used by several programs?");
        return false;
    }
    log_info(&server->log, "%s: replaced by a newer session", session_short_id(session, name));
    session_end(older, wire_ErrorCode_ERROR_REPLACED, NULL,
                same ? "this ID has registered again" : session_has_successor);
    return true;
}

/* Programs with one key may dial beside each other, and beside the one of them that can be called.
 * Its place, and that of our own older session, is ours. */
static bool session_replace_older(struct session *session, bool yields, uint64_t now_us)
{
    const struct registry *registry = session->server->registry;
    const struct registry_entry *own = &session->entry;
    struct registry_entry *entry = registry_by_id(registry, &own->id, NULL), *next;
    unsigned others = 0;

    for (; entry != NULL; entry = next) {
        next = registry_by_id(registry, &own->id, entry);
        bool rival = entry->instance == own->instance || (entry->listens && own->listens);
        if (entry == own)
            continue;
        if (rival && yields && entry->instance != own->instance) {
            session_end(session, wire_ErrorCode_ERROR_REPLACED, NULL, session_has_successor);
            return false;
        }
        if (rival && !session_replace(session, session_of_entry(entry), now_us))
            return false;
        others += !rival;
    }
    if (others < SESSION_MAX_OF_ONE_ID)
        return true;
    session_end(session, wire_ErrorCode_ERROR_TOO_MANY, NULL, "too many programs use this key");
    return false;
}

static uint64_t session_instance(const wire_Register *msg)
{
    uint64_t instance = 0;

    memcpy(&instance, msg->instance.bytes, msg->instance.size);
    return instance;
}

static void session_send_registered(struct session *session, uint64_t now_us)
{
    const struct bounce *bounce = bounce_io_bounce(session->server->bounce);
    wire_FromMediator msg = {.which_body = wire_FromMediator_registered_tag};
    wire_Registered *registered = &msg.body.registered;
    struct stun_addr endpoints[BOUNCE_MAX_SOCKETS];
    size_t count = bounce_endpoints(bounce, &session->local, endpoints);

    registered->session_id.size = WIRE_SESSION_ID_BYTES;
    for (size_t i = 0; i < WIRE_SESSION_ID_BYTES; i++)
        registered->session_id.bytes[i] = (uint8_t)(session->entry.session_id >> (56 - 8 * i));
    registered->session_key.size = sizeof session->attested.key;
    memcpy(registered->session_key.bytes, session->attested.key, sizeof session->attested.key);
    registered->bounce_count = (pb_size_t)count;
    for (size_t i = 0; i < count; i++)
        wire_from_addr(&endpoints[i], &registered->bounce[i]);
    registered->relay = session->server->relay != NULL;
    registered->has_seen = true;
    wire_from_addr(&session->from, &registered->seen);
    registered->nonce.size = NONCE_BYTES;
    bounce_nonce(bounce, session->entry.session_id, &session->from, now_us,
                 registered->nonce.bytes);
    session_send(session, &msg);
    sodium_memzero(&msg, sizeof msg);
}

static void session_register(struct session *session, const wire_Register *msg, uint64_t now_us)
{
    struct server *server = session->server;
    char name[SESSION_SHORT_ID_BYTES];
    char from[STUN_ADDR_TEXT_BYTES];

    bool began_to_listen =
        !session->entry.listens && msg->visibility != wire_Visibility_VISIBLE_TO_NOBODY;
    session->entry.listens = msg->visibility != wire_Visibility_VISIBLE_TO_NOBODY;
    if (session->state == SESSION_GREETED)
        session->entry.instance = session_instance(msg);
    if ((session->state == SESSION_GREETED || began_to_listen) &&
        !session_replace_older(session, msg->yields, now_us))
        return;
    if (session->state == SESSION_GREETED) {
        session->entry.session_id = session_new_id(server->registry);
        randombytes_buf(session->attested.key, sizeof session->attested.key);
        session->relay.attested = &session->attested;
        session->relay.home = session->from;
        memcpy(&session->relay.peer, session->entry.id.bytes, sizeof session->relay.peer);
        registry_add(server->registry, &session->entry);
        session->state = SESSION_REGISTERED;
        server->counters.registered++;
        log_debug(&server->log, "%s: registered from %s", session_short_id(session, name),
                  stun_addr_text(&session->from, from));
    }
    coordinates_take(&msg->coordinates, &session->coordinates);
    session->visibility = msg->visibility;
    session->no_relay = msg->no_relay;
    session_set_allowed(session, msg);
    session_send_registered(session, now_us);
}

static void session_pong(struct session *session, const wire_Ping *ping)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_pong_tag,
                             .body.pong = {.token = ping->token}};

    session_send(session, &msg);
}

static void session_handle(struct session *session, const wire_ToMediator *msg, uint64_t now_us)
{
    if (session->state != SESSION_REGISTERED &&
        msg->which_body != wire_ToMediator_registration_tag &&
        msg->which_body != wire_ToMediator_ping_tag) {
        session_end(session, wire_ErrorCode_ERROR_BAD_MESSAGE, NULL,
                    "the first message must be REGISTER");
        return;
    }
    switch (msg->which_body) {
    case wire_ToMediator_registration_tag:
        session_register(session, &msg->body.registration, now_us);
        break;
    case wire_ToMediator_get_peer_tag:
        introduce_get_peer(session, &msg->body.get_peer, now_us);
        break;
    case wire_ToMediator_dial_accept_tag:
        introduce_accept(session, &msg->body.dial_accept, now_us);
        break;
    case wire_ToMediator_dial_note_tag:
        introduce_note(session, &msg->body.dial_note, now_us);
        break;
    case wire_ToMediator_holepunching_complete_tag:
        introduce_complete(session, &msg->body.holepunching_complete, now_us);
        break;
    case wire_ToMediator_dial_end_tag:
        introduce_end(session, &msg->body.dial_end, now_us);
        break;
    case wire_ToMediator_resume_tag:
        resume_dial(session, &msg->body.resume, now_us);
        break;
    case wire_ToMediator_relayed_tag:
        session_relay_take(session, &msg->body.relayed);
        break;
    case wire_ToMediator_ping_tag:
        session_pong(session, &msg->body.ping);
        break;
    default:
        break;
    }
}

static void session_take_frame(struct session *session, const uint8_t *frame, size_t size)
{
    struct server *server = session->server;
    struct limit_rate rate = {server->config->limits.message_rate,
                              server->config->limits.message_burst};
    uint64_t now_us = server_now_us();
    wire_ToMediator msg;
    const char *why = "";
    char name[SESSION_SHORT_ID_BYTES];

    if (!limit_take(&session->messages, rate, now_us)) {
        log_info(&server->log, "%s: too many messages", session_short_id(session, name));
        session_end(session, wire_ErrorCode_ERROR_TOO_MANY, NULL, "too many messages a second");
        return;
    }
    if (!wire_decode_to_mediator(frame, size, &msg, &why)) {
        log_info(&server->log, "%s: bad message: %s", session_short_id(session, name), why);
        session_end(session, wire_ErrorCode_ERROR_BAD_MESSAGE, NULL, why);
        return;
    }
    session_handle(session, &msg, now_us);
    if (session->state == SESSION_REGISTERED)
        deadline_arm(&server->active, &session->deadline, now_us);
}

/* What a client says after its session has ended is read, so that the kernel does not answer it
 * with a reset that overtakes our last message, and thrown away. */
static void session_discard(struct session *session)
{
    uint8_t discarded[SESSION_DISCARD_BYTES];

    for (int i = 0; i < SESSION_DISCARD_READS; i++) {
        ssize_t got = read(channel_fd(session->channel), discarded, sizeof discarded);
        if (got > 0 || (got < 0 && errno == EINTR))
            continue;
        if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            session_drop(session);
        return;
    }
}

static void session_greet(struct session *session)
{
    if (channel_is_relay(session->channel)) {
        session->state = SESSION_RELAYING;
        deadline_arm(&session->server->young, &session->deadline, server_now_us());
        return;
    }
    session->entry.id = *channel_peer(session->channel);
    session->state = SESSION_GREETED;
    deadline_arm(&session->server->young, &session->deadline, server_now_us());
}

static void session_read(struct session *session)
{
    const uint8_t *frame;
    size_t size;
    int got = channel_process(session->channel);

    if (got == CHANNEL_OK && session->state == SESSION_HANDSHAKE &&
        channel_is_open(session->channel))
        session_greet(session);
    while (got >= 0 &&
           (session->state == SESSION_GREETED || session->state == SESSION_REGISTERED)) {
        got = channel_receive(session->channel, &frame, &size);
        if (got <= 0)
            break;
        session_take_frame(session, frame, size);
    }
    if (got < 0 && session->state != SESSION_CLOSED) {
        char from[STUN_ADDR_TEXT_BYTES];
        log_debug(&session->server->log, "%s: %s", stun_addr_text(&session->from, from),
                  channel_why(session->channel));
        session_drop(session);
    }
}

static bool session_relay(struct session *session)
{
    if (session->stream == NULL) {
        if (!stream_begin(session))
            return false;
        if (session->stream == NULL)
            return true;
        deadline_disarm(&session->deadline);
    }
    return stream_ready(session->stream, &session->unread);
}

static void session_on_poll(uv_poll_t *handle, int status, int events)
{
    struct session *session = handle->data;

    (void)events;
    if (status < 0) {
        session_drop(session);
        return;
    }
    if (session->state == SESSION_ENDING) {
        channel_process(session->channel);
        session_discard(session);
    } else {
        if (session->state != SESSION_RELAYING)
            session_read(session);
        /* Also what came with the end of the handshake. */
        if (session->state == SESSION_RELAYING && !session_relay(session))
            session_drop(session);
    }
    session_update_poll(session);
}

/* Nobody finds it any more, and what it had with others is over. */
static void session_leave(struct session *session)
{
    registry_remove(session->server->registry, &session->entry);
    dial_life_leave(session, server_now_us());
    if (session->relay.stream != NULL)
        session_drop(session->relay.stream->connection);
    if (session->stream != NULL)
        stream_end(session->stream);
}

void session_open(struct server *server, int fd, const struct stun_addr *from,
                  const struct stun_addr *local)
{
    struct session *session = calloc(1, sizeof *session);
    struct channel_config config = {.server = true,
                                    .fd = fd,
                                    .credentials = server->credentials,
                                    .priority = server->priority,
                                    .max_queue_bytes = server->config->limits.queue_bytes};

    if (session == NULL) {
        close(fd);
        occupancy_leave(server->occupancy, from);
        return;
    }
    sockets_tune_session(fd);
    if (channel_new(&session->channel, &config) != CHANNEL_OK) {
        free(session);
        occupancy_leave(server->occupancy, from);
        return;
    }
    if (uv_poll_init(&server->loop, &session->poll, fd) != 0) {
        channel_free(session->channel);
        free(session);
        occupancy_leave(server->occupancy, from);
        return;
    }
    session->server = server;
    session->poll.data = session;
    session->from = *from;
    session->local = *local;
    session->next = server->sessions;
    if (session->next != NULL)
        session->next->previous = session;
    server->sessions = session;
    server->session_count++;
    deadline_arm(&server->young, &session->deadline, server_now_us());
    session_update_poll(session);
}

bool session_send(struct session *session, const wire_FromMediator *msg)
{
    uint8_t frame[CHANNEL_MAX_FRAME_BYTES];
    char name[SESSION_SHORT_ID_BYTES];

    if (session->state != SESSION_GREETED && session->state != SESSION_REGISTERED)
        return false;
    size_t size = wire_encode_from_mediator(msg, frame, sizeof frame);
    int error = size > 0 ? channel_send(session->channel, frame, size) : CHANNEL_ERR_FRAME;
    sodium_memzero(frame, size);
    if (error != CHANNEL_OK) {
        log_info(&session->server->log, "%s: dropped, cannot be told anything (%d)",
                 session_short_id(session, name), error);
        sockets_abandon(channel_fd(session->channel));
        session_drop(session);
        return false;
    }
    session_update_poll(session);
    return true;
}

void session_send_error(struct session *session, wire_ErrorCode code, const uint8_t *dial_id,
                        const char *text)
{
    wire_FromMediator msg = {.which_body = wire_FromMediator_error_tag};
    wire_Error *error = &msg.body.error;

    error->code = code;
    if (dial_id != NULL) {
        error->dial_id.size = WIRE_DIAL_ID_BYTES;
        memcpy(error->dial_id.bytes, dial_id, WIRE_DIAL_ID_BYTES);
    }
    strncpy(error->text, text, sizeof error->text - 1);
    session_send(session, &msg);
}

void session_end(struct session *session, wire_ErrorCode code, const uint8_t *dial_id,
                 const char *text)
{
    if (session->state == SESSION_HANDSHAKE || session->state == SESSION_RELAYING)
        session_drop(session);
    else
        session_send_error(session, code, dial_id, text);
    if (session->state == SESSION_CLOSED || session->state == SESSION_ENDING)
        return;
    session_leave(session);
    session->state = SESSION_ENDING;
    deadline_arm(&session->server->ending, &session->deadline, server_now_us());
}

void session_drop(struct session *session)
{
    struct server *server = session->server;

    if (session->state == SESSION_CLOSED)
        return;
    session->state = SESSION_CLOSED;
    session_leave(session);
    deadline_disarm(&session->deadline);
    *(session->previous != NULL ? &session->previous->next : &server->sessions) = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    server->session_count--;
    occupancy_leave(server->occupancy, &session->from);
    uv_close((uv_handle_t *)&session->poll, session_on_closed);
    channel_free(session->channel);
    session->channel = NULL;
}

void session_update_poll(struct session *session)
{
    if (session->state == SESSION_CLOSED)
        return;
    /* A socket that can be written to wakes us at once: that is how what is unread gets its turn.
     */
    bool write = session->unread || channel_wants_write(session->channel);
    int wanted = UV_READABLE | (write ? UV_WRITABLE : 0);
    if (wanted == session->polled)
        return;
    session->polled = wanted;
    uv_poll_start(&session->poll, wanted, session_on_poll);
}

bool session_has_room(const struct session *session)
{
    return channel_queued_bytes(session->channel) <=
           session->server->config->limits.queue_bytes / 2;
}

void session_whereabouts(const struct session *session, uint64_t now_us,
                         struct coordinates_whereabouts *out)
{
    out->attested_count = attested_fresh(&session->attested, now_us, out->attested);
    out->control = session->from;
}

const char *session_short_id(const struct session *session,
                             char text[static SESSION_SHORT_ID_BYTES])
{
    char whole[IDENTITY_TEXT_BYTES];

    memcpy(text, identity_text(&session->entry.id, whole), SESSION_SHORT_ID_BYTES - 1);
    text[SESSION_SHORT_ID_BYTES - 1] = '\0';
    return text;
}

struct session *session_of_entry(struct registry_entry *entry)
{
    return entry == NULL
               ? NULL
               : (struct session *)(void *)((char *)entry - offsetof(struct session, entry));
}

struct session *session_of_deadline(struct deadline *deadline)
{
    return (struct session *)(void *)((char *)deadline - offsetof(struct session, deadline));
}
