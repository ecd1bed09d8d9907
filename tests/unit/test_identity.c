/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "identity/identity.h"
#include "identity/keyfile.h"

struct folder {
    char path[64];
    char key[128];
};

static int folder_make(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    snprintf(folder->path, sizeof(folder->path), "/tmp/eyelet-identity-XXXXXX");
    if (folder == NULL || mkdtemp(folder->path) == NULL) {
        return -1;
    }
    snprintf(folder->key, sizeof(folder->key), "%s/a/b/key", folder->path);
    *state = folder;
    return 0;
}

static int folder_remove(void **state)
{
    struct folder *folder = *state;
    char path[192];
    unlink(folder->key);
    snprintf(path, sizeof(path), "%s/a/b", folder->path);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/a", folder->path);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/key", folder->path);
    unlink(path);
    int rv = rmdir(folder->path); /* fails if a draft file was left behind */
    free(folder);
    return rv;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* RFC 8032, section 7.1, test 1. */
static const uint8_t rfc8032_seed[32] = {
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
static const uint8_t rfc8032_public[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

static void test_from_seed(void **state)
{
    (void)state;
    struct identity self;
    assert_int_equal(identity_from_seed(rfc8032_seed, &self), IDENTITY_OK);
    assert_memory_equal(self.id.bytes, rfc8032_public, 32);
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    assert_int_equal(identity_sign(&self, "", 0, signature), IDENTITY_OK);
    assert_int_equal(signature[0], 0xe5);
    assert_int_equal(signature[63], 0x0b);
    identity_wipe(&self);
    for (size_t i = 0; i < sizeof(self.seed); i++) {
        assert_int_equal(self.seed[i], 0);
    }
}

static void test_text(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct identity self;
        struct identity_id back;
        char text[IDENTITY_TEXT_BYTES];
        assert_int_equal(identity_generate(&self), IDENTITY_OK);
        assert_ptr_equal(identity_text(&self.id, text), text);
        assert_int_equal(strlen(text), 52);
        assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz234567"), 52);
        assert_true(identity_parse(text, 52, &back));
        assert_true(identity_equal(&self.id, &back));
        for (char *c = text; *c != '\0'; c++) {
            if (*c >= 'a' && *c <= 'z') {
                *c = (char)(*c - 'a' + 'A');
            }
        }
        assert_true(identity_parse(text, 52, &back));
        assert_true(identity_equal(&self.id, &back));
    }
    /* Python: base64.b32encode(bytes.fromhex("d75a98...511a")) */
    struct identity_id id;
    char text[IDENTITY_TEXT_BYTES];
    memcpy(id.bytes, rfc8032_public, 32);
    assert_string_equal(identity_text(&id, text),
                        "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena");
}

static void test_parse_refuses(void **state)
{
    (void)state;
    const char *good = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena";
    struct identity_id id;
    char text[54];
    assert_true(identity_parse(good, 52, &id));
    assert_false(identity_parse(good, 51, &id));
    snprintf(text, sizeof(text), "%sa", good);
    assert_false(identity_parse(text, 53, &id));
    assert_false(identity_parse("", 0, &id));
    snprintf(text, sizeof(text), "%s", good);
    text[51] = 'b'; /* a bit beyond 256 */
    assert_false(identity_parse(text, 52, &id));
    const char *alien = "018 =\n-";
    for (size_t i = 0; alien[i] != '\0'; i++) {
        snprintf(text, sizeof(text), "%s", good);
        text[7] = alien[i];
        assert_false(identity_parse(text, 52, &id));
    }
    /* the neutral element (small order), and all zero bits (order 4) */
    assert_false(identity_parse("aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 52, &id));
    assert_false(identity_parse("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 52, &id));
}

static void test_sign_verify(void **state)
{
    (void)state;
    struct identity a;
    struct identity b;
    identity_generate(&a);
    identity_generate(&b);
    assert_false(identity_equal(&a.id, &b.id));
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    assert_int_equal(identity_sign(&a, "message", 7, signature), IDENTITY_OK);
    assert_true(identity_verify(&a.id, "message", 7, signature));
    assert_false(identity_verify(&b.id, "message", 7, signature));
    assert_false(identity_verify(&a.id, "Message", 7, signature));
    assert_false(identity_verify(&a.id, "message", 6, signature));
    signature[5] ^= 1;
    assert_false(identity_verify(&a.id, "message", 7, signature));
}

static void test_x25519(void **state)
{
    (void)state;
    struct identity self;
    uint8_t public_key[32];
    uint8_t secret_key[32];
    identity_from_seed(rfc8032_seed, &self);
    assert_int_equal(identity_to_x25519_public(&self.id, public_key), IDENTITY_OK);
    assert_int_equal(identity_to_x25519_secret(&self, secret_key), IDENTITY_OK);
    assert_int_equal(secret_key[0] & 7, 0);
    assert_int_equal(public_key[0],
                     0xd8); /* d85e07ec22b0ad88...: the known conversion of this key */
    assert_int_equal(public_key[1], 0x5e);
    struct identity_id zero = {{0}};
    struct identity_id neutral = {{1}};
    assert_int_equal(identity_to_x25519_public(&zero, public_key), IDENTITY_ERR_CRYPTO);
    assert_int_equal(identity_to_x25519_public(&neutral, public_key), IDENTITY_ERR_CRYPTO);
}

static void test_file_created_and_loaded(void **state)
{
    struct folder *folder = *state;
    struct identity made;
    struct identity loaded;
    assert_int_equal(identity_load_or_create(folder->key, &made), IDENTITY_OK);
    assert_int_equal(identity_load_or_create(folder->key, &loaded), IDENTITY_OK);
    assert_memory_equal(&made, &loaded, sizeof(made));
    struct stat info;
    assert_int_equal(stat(folder->key, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_size, KEYFILE_LINE_BYTES);
    char path[128];
    snprintf(path, sizeof(path), "%s/a", folder->path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
}

static void test_file_refused(void **state)
{
    struct folder *folder = *state;
    struct identity id;
    char path[128];
    snprintf(path, sizeof(path), "%s/key", folder->path);
    static const char good[] = "eyelet-key-1 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena";
    static const char *const bad[] = {
        "",
        "\n",
        "eyelet-key-1",
        "eyelet-key-2 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena\n",
        "eyelet-key-1 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhken\n",
        "eyelet-key-1 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenb\n",
        "eyelet-key-1 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena\n\n",
        "eyelet-key-1 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena more and more\n",
    };
    write_file(path, good, 0600);
    assert_int_equal(identity_load_or_create(path, &id), IDENTITY_OK);
    write_file(path, good, 0640);
    assert_int_equal(identity_load_or_create(path, &id), IDENTITY_ERR_PERMISSIONS);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(path, bad[i], 0600);
        assert_int_equal(identity_load_or_create(path, &id), IDENTITY_ERR_BAD_FILE);
    }
    assert_int_equal(identity_load_or_create(folder->path, &id), IDENTITY_ERR_BAD_FILE);
    snprintf(path, sizeof(path), "%s/key/below", folder->path);
    assert_int_equal(identity_load_or_create(path, &id), IDENTITY_ERR_IO);
    assert_int_equal(errno, ENOTDIR);
}

static void test_key_line(void **state)
{
    (void)state;
    struct identity a;
    struct identity b;
    char line[KEYFILE_LINE_BYTES + 1];
    identity_generate(&a);
    keyfile_format(&a, line);
    assert_int_equal(keyfile_parse(line, KEYFILE_LINE_BYTES, &b), IDENTITY_OK);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(keyfile_parse(line, KEYFILE_LINE_BYTES - 1, &b), IDENTITY_OK);
    memcpy(line + KEYFILE_LINE_BYTES - 1, "\r\n", 2);
    assert_int_equal(keyfile_parse(line, KEYFILE_LINE_BYTES + 1, &b), IDENTITY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_seed),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_sign_verify),
        cmocka_unit_test(test_x25519),
        cmocka_unit_test_setup_teardown(test_file_created_and_loaded, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(test_file_refused, folder_make, folder_remove),
        cmocka_unit_test(test_key_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
