/* SPDX-License-Identifier: BSD-2-Clause */
/* A file descriptor that is read or written without ever blocking the loop, whatever it is: a pipe,
 * a terminal, a socket, a file. Also of a description that other processes share. */
#ifndef CLI_PIPEFD_H
#define CLI_PIPEFD_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct pipefd;

/* Adopts fd. standard: it is stdin or stdout, which other processes may share: their mode is kept
 * and the number stays taken after closing. ready is called after pipefd_wait. NULL: errno says
 * why. */
struct pipefd *pipefd_new(uv_loop_t *loop, int fd, bool writing, bool standard,
                          void (*ready)(void *context), void *context);
/* Bytes, 0 at the end, or -errno; -EAGAIN: pipefd_wait, then ready is called. Files never say
 * EAGAIN. */
ssize_t pipefd_read(struct pipefd *p, void *data, size_t bytes);
ssize_t pipefd_write(struct pipefd *p, const void *data, size_t bytes);
/* on: ready is called, again and again, while it can be read or written. False: it is a file, which
 * is always ready, and there is no call. NULL is fine. */
bool pipefd_wait(struct pipefd *p, bool on);
/* Closes and frees; whoever is at the other end sees the end. NULL is fine. */
void pipefd_close(struct pipefd *p);

#endif
