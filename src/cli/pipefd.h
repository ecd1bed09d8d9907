/* SPDX-License-Identifier: BSD-2-Clause */
/* A file descriptor in the loop, whatever it is. A pipe, a terminal or a socket never blocks, also
 * where other processes share its description; a file does, for as long as its disk takes for one
 * read or write. */
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
/* on: ready is called, again and again, while it can be read or written; a file always can. NULL is
 * fine. */
void pipefd_wait(struct pipefd *p, bool on);
/* Closes and frees; whoever is at the other end sees the end. NULL is fine. */
void pipefd_close(struct pipefd *p);

#endif
