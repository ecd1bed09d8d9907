/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/scribe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 20)
#define BLOCKS      4

/* Of one file, on its way to the loop. */
struct entry {
    struct entry *next;
    uint64_t size_bytes;
    enum transfer_code code;
    char text[FOLDER_WHY_BYTES + TRANSFER_MAX_TEXT_BYTES];
    size_t name_bytes;
    char name[];
};

struct answers {
    uint8_t *data;
    size_t start;
    size_t end;
    size_t capacity;
};

/* What the thread has to tell. */
struct findings {
    struct receiver_progress progress;
    char name[256]; /* of the progress */
    const char *fault;
    struct entry *entries; /* the newest first */
};

struct scribe {
    struct receiver *receiver; /* the thread's */
    receiver_report *report;
    scribe_news *news;
    void *context;
    uv_async_t wake;
    uv_thread_t thread;

    uint8_t *blocks;
    size_t filling; /* bytes in the block behind the full ones; the loop's, as these two */
    struct findings known;
    struct answers answers;

    uv_mutex_t lock; /* of all that follows */
    uv_cond_t work;
    size_t sizes[BLOCKS];
    size_t first; /* of the full ones, it is being worked on */
    size_t full;
    bool stop;
    struct findings found;
    struct answers given;
};

/* ---- in the thread ---- */

static void collect(void *context, const char *name, size_t name_bytes, uint64_t size_bytes,
                    enum transfer_code code, const char *text)
{
    struct scribe *s = context;
    struct entry *entry = malloc(sizeof(*entry) + name_bytes);
    if (!entry) {
        return; /* it is counted all the same */
    }
    entry->size_bytes = size_bytes;
    entry->code = code;
    snprintf(entry->text, sizeof(entry->text), "%s", text);
    entry->name_bytes = name_bytes;
    memcpy(entry->name, name, name_bytes);
    uv_mutex_lock(&s->lock);
    entry->next = s->found.entries;
    s->found.entries = entry;
    uv_mutex_unlock(&s->lock);
}

static bool append(struct answers *to, const uint8_t *data, size_t bytes)
{
    if (bytes == 0) {
        return true;
    }
    if (to->end + bytes > to->capacity) {
        size_t capacity = 2 * to->capacity + bytes;
        uint8_t *grown = realloc(to->data, capacity);
        if (!grown) {
            return false;
        }
        to->data = grown;
        to->capacity = capacity;
    }
    memcpy(to->data + to->end, data, bytes);
    to->end += bytes;
    return true;
}

static void work_off(struct scribe *s, const uint8_t *block, size_t bytes)
{
    const uint8_t *answers;
    const char *fault =
        receiver_input(s->receiver, block, bytes) ? NULL : receiver_why(s->receiver);
    size_t answer_bytes = receiver_output(s->receiver, &answers);
    struct receiver_progress progress = receiver_progress(s->receiver);
    uv_mutex_lock(&s->lock);
    if (!append(&s->given, answers, answer_bytes)) {
        fault = "out of memory";
    }
    snprintf(s->found.name, sizeof(s->found.name), "%s", progress.name);
    s->found.progress = progress;
    s->found.fault = fault;
    uv_mutex_unlock(&s->lock);
    receiver_sent(s->receiver, answer_bytes);
}

static void run(void *context)
{
    struct scribe *s = context;
    uv_mutex_lock(&s->lock);
    while (!s->stop) {
        if (s->full == 0) {
            uv_cond_wait(&s->work, &s->lock);
            continue;
        }
        const uint8_t *block = s->blocks + s->first * BLOCK_BYTES;
        size_t bytes = s->sizes[s->first];
        bool is_broken = s->found.fault != NULL;
        uv_mutex_unlock(&s->lock);
        if (!is_broken) {
            work_off(s, block, bytes);
        }
        uv_mutex_lock(&s->lock);
        s->first = (s->first + 1) % BLOCKS;
        s->full--;
        uv_async_send(&s->wake);
    }
    uv_mutex_unlock(&s->lock);
}

/* ---- in the loop ---- */

/* The thread is given what there is when it has nothing else, and full blocks otherwise. */
static void hand_over(struct scribe *s)
{
    uv_mutex_lock(&s->lock);
    if (s->filling == BLOCK_BYTES || (s->filling > 0 && s->full == 0)) {
        s->sizes[(s->first + s->full) % BLOCKS] = s->filling;
        s->full++;
        s->filling = 0;
        uv_cond_signal(&s->work);
    }
    uv_mutex_unlock(&s->lock);
}

static void tell_entries(struct scribe *s, struct entry *newest)
{
    struct entry *oldest = NULL;
    while (newest) {
        struct entry *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct entry *next = oldest->next;
        s->report(s->context, oldest->name, oldest->name_bytes, oldest->size_bytes, oldest->code,
                  oldest->text);
        free(oldest);
        oldest = next;
    }
}

static void look(struct scribe *s)
{
    uv_mutex_lock(&s->lock);
    s->known = s->found;
    s->found.entries = NULL;
    uv_mutex_unlock(&s->lock);
    s->known.progress.name = s->known.name;
    tell_entries(s, s->known.entries);
    s->known.entries = NULL;
}

static void on_wake(uv_async_t *handle)
{
    struct scribe *s = handle->data;
    hand_over(s);
    look(s);
    s->news(s->context);
}

static void free_all(struct scribe *s)
{
    receiver_free(s->receiver);
    free(s->blocks);
    free(s->answers.data);
    free(s->given.data);
    free(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct scribe *s = handle->data;
    uv_cond_destroy(&s->work);
    uv_mutex_destroy(&s->lock);
    free_all(s);
}

static bool start_thread(struct scribe *s)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = uv_thread_create(&s->thread, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = -error;
    return error == 0;
}

struct scribe *scribe_new(uv_loop_t *loop, struct folder *folder, receiver_report *report,
                          scribe_news *news, void *context)
{
    struct scribe *s = calloc(1, sizeof(*s));
    if (!s) {
        return NULL;
    }
    s->report = report;
    s->news = news;
    s->context = context;
    s->known.progress.name = s->known.name;
    s->wake.data = s;
    s->blocks = malloc(BLOCKS * BLOCK_BYTES);
    s->receiver = receiver_new(folder, collect, s);
    if (!s->blocks || !s->receiver || uv_mutex_init(&s->lock) != 0) {
        free_all(s);
        errno = ENOMEM;
        return NULL;
    }
    if (uv_cond_init(&s->work) != 0) {
        uv_mutex_destroy(&s->lock);
        free_all(s);
        errno = ENOMEM;
        return NULL;
    }
    bool ok = uv_async_init(loop, &s->wake, on_wake) == 0;
    if (!ok || !start_thread(s)) {
        int error = ok ? errno : ENOMEM;
        if (ok) {
            uv_close((uv_handle_t *)&s->wake, on_closed);
        } else {
            on_closed((uv_handle_t *)&s->wake);
        }
        errno = error;
        return NULL;
    }
    return s;
}

void scribe_stop(struct scribe *s)
{
    uv_mutex_lock(&s->lock);
    s->stop = true;
    uv_cond_signal(&s->work);
    uv_mutex_unlock(&s->lock);
    uv_thread_join(&s->thread);
    look(s);
}

void scribe_free(struct scribe *s)
{
    uv_close((uv_handle_t *)&s->wake, on_closed);
}

size_t scribe_input(struct scribe *s, const uint8_t *data, size_t bytes)
{
    size_t taken = 0;
    while (taken < bytes) {
        uv_mutex_lock(&s->lock);
        size_t at = s->full < BLOCKS ? (s->first + s->full) % BLOCKS : BLOCKS;
        uv_mutex_unlock(&s->lock);
        if (at == BLOCKS) {
            break;
        }
        size_t room = BLOCK_BYTES - s->filling;
        size_t n = bytes - taken < room ? bytes - taken : room;
        memcpy(s->blocks + at * BLOCK_BYTES + s->filling, data + taken, n);
        s->filling += n;
        taken += n;
        hand_over(s);
    }
    return taken;
}

bool scribe_is_idle(struct scribe *s)
{
    uv_mutex_lock(&s->lock);
    bool idle = s->full == 0 && s->filling == 0;
    uv_mutex_unlock(&s->lock);
    if (idle) {
        look(s);
    }
    return idle;
}

const char *scribe_fault(const struct scribe *s)
{
    return s->known.fault;
}

size_t scribe_output(struct scribe *s, const uint8_t **data)
{
    if (s->answers.start == s->answers.end) {
        s->answers.start = s->answers.end = 0;
        uv_mutex_lock(&s->lock);
        struct answers empty = s->answers;
        s->answers = s->given;
        s->given = empty;
        uv_mutex_unlock(&s->lock);
    }
    *data = s->answers.data + s->answers.start;
    return s->answers.end - s->answers.start;
}

void scribe_sent(struct scribe *s, size_t bytes)
{
    s->answers.start += bytes;
}

struct receiver_progress scribe_progress(const struct scribe *s)
{
    return s->known.progress;
}
