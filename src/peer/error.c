/* SPDX-License-Identifier: BSD-2-Clause */
#include "eyelet.h"

const char *eyelet_version(void)
{
    return EYELET_VERSION;
}

const char *eyelet_strerror(int error)
{
    switch (error) {
    case EYELET_OK:
        return "success";
    case EYELET_ERR_ARGUMENT:
        return "invalid argument";
    case EYELET_ERR_MEMORY:
        return "out of memory";
    case EYELET_ERR_SYSTEM:
        return "system call failed";
    case EYELET_ERR_KEY_FILE:
        return "key file unreadable, not a key, or readable by others";
    case EYELET_ERR_MEDIATOR:
        return "mediator unreachable";
    case EYELET_ERR_MEDIATOR_KEY:
        return "the mediator's key is not the pinned one";
    case EYELET_ERR_NO_SUCH_PEER:
        return "no such peer";
    case EYELET_ERR_REFUSED:
        return "refused by the peer";
    case EYELET_ERR_WRONG_PEER:
        return "the other side does not hold the peer's key";
    case EYELET_ERR_NO_PATH:
        return "no path that is allowed";
    case EYELET_ERR_TIMEOUT:
        return "timed out";
    case EYELET_ERR_CLOSED:
        return "closed";
    case EYELET_ERR_AGAIN:
        return "nothing now, wait for the event";
    case EYELET_ERR_TOO_LARGE:
        return "message too large";
    case EYELET_ERR_LIMIT:
        return "limit reached";
    case EYELET_ERR_STATE:
        return "not possible in this state";
    case EYELET_ERR_PROTOCOL:
        return "protocol error";
    case EYELET_ERR_RELAY:
        return "the mediator does not relay";
    default:
        return "unknown error";
    }
}
