/* SPDX-License-Identifier: BSD-2-Clause */
/* Both ends of a file transfer against any bytes: nothing may appear outside the target folder. The
 * first byte chooses the end, how the rest is cut into pieces, and whether the greeting is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/receiver.h"
#include "cli/sender.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_received(void *context, const char *name, size_t name_bytes, uint64_t size_bytes,
                        enum transfer_code code, const char *text)
{
    char shown[64];
    (void)context;
    (void)size_bytes;
    names_show(name, name_bytes, shown, sizeof(shown));
    if (strlen(shown) >= sizeof(shown) || strchr(shown, '\033') ||
        (code == TRANSFER_OK && names_fault(name, name_bytes)) || text == NULL) {
        abort();
    }
}

static void on_sent(void *context, const char *shown, uint64_t size_bytes, enum transfer_code code,
                    const char *text)
{
    (void)context;
    (void)size_bytes;
    (void)code;
    if (strchr(shown, '\033') || strchr(text, '\033')) {
        abort();
    }
}

static void on_warning(void *context, const char *shown, const char *text)
{
    (void)context;
    (void)shown;
    (void)text;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    if (ftw->level > 0 && remove(path) != 0) {
        abort();
    }
    return 0;
}

static void fuzz_receiver(const char *root, const uint8_t *data, size_t size, size_t piece,
                          bool greet)
{
    struct folder folder;
    char path[64];
    snprintf(path, sizeof(path), "%s/in", root);
    if (!folder_open(&folder, path, (piece & 1) != 0)) {
        abort();
    }
    struct receiver *r = receiver_new(&folder, on_received, NULL);
    const uint8_t *out;
    uint8_t greeting[TRANSFER_HEAD_BYTES + TRANSFER_HELLO_BYTES];
    struct transfer_hello hello = {(uint32_t)piece, 1000};
    bool ok = true;
    if (greet) {
        ok = receiver_input(r, greeting, transfer_build_hello(greeting, &hello));
    }
    while (ok && size > 0) {
        size_t n = size < piece ? size : piece;
        ok = receiver_input(r, data, n);
        receiver_sent(r, receiver_output(r, &out));
        data += n;
        size -= n;
    }
    receiver_free(r);
    folder_close(&folder);
}

static void fuzz_sender(const struct tree *tree, const uint8_t *data, size_t size, size_t piece)
{
    struct sender *s = sender_new(tree, on_sent, on_warning, NULL);
    const uint8_t *out;
    bool ok = true;
    while (ok && size > 0) {
        size_t n = size < piece ? size : piece;
        size_t bytes;
        while ((bytes = sender_output(s, &out)) > 0) {
            sender_sent(s, bytes);
        }
        ok = sender_input(s, data, n);
        data += n;
        size -= n;
    }
    sender_free(s);
}

/* One empty file, one with a few bytes and a folder. */
static bool make_tree(const char *root, struct tree *tree)
{
    static const char *const names[] = {"empty", "small"};
    char path[64];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", root, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, "content", 7 * i) != (ssize_t)(7 * i)) {
            return false;
        }
        close(fd);
        if (!tree_add(tree, path)) {
            return false;
        }
    }
    snprintf(path, sizeof(path), "%s/folder", root);
    return mkdir(path, 0700) == 0 && tree_add(tree, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char root[] = "/tmp/fuzz-transfer-XXXXXX";
    struct tree tree = {0};
    if (size < 1 || !mkdtemp(root)) {
        return 0;
    }
    size_t piece = (size_t)(data[0] >> 2) + 1;
    if (data[0] & 1) {
        if (!make_tree(root, &tree)) {
            abort();
        }
        fuzz_sender(&tree, data + 1, size - 1, piece);
        tree_free(&tree);
    } else {
        fuzz_receiver(root, data + 1, size - 1, piece, (data[0] & 2) != 0);
    }
    if (nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 || rmdir(root) != 0) {
        abort();
    }
    return 0;
}
