/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells the service manager how we are (sd_notify(3)), without its library. */
#ifndef MEDIATOR_NOTIFY_H
#define MEDIATOR_NOTIFY_H

/* "READY=1" or "STOPPING=1"; does nothing where nobody asked to be told. */
void notify_manager(const char *state);

#endif
