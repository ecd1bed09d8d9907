/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DIGITS 6 /* of seconds */

static bool fail(struct settings *settings, const char *what, const char *path)
{
    snprintf(settings->why, sizeof(settings->why), "%s %s: %s", what, path, strerror(errno));
    return false;
}

static char *join(const char *folder, const char *last)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, last) < 0 ? NULL : path;
}

static bool replace(char **at, const char *value)
{
    char *copy = strdup(value);
    free(*at);
    *at = copy;
    return copy != NULL;
}

static bool take_paths(struct settings *settings, const char *value)
{
    static const char *const names[] = {[EYELET_ANY_PATH] = "any",
                                        [EYELET_DIRECT_ONLY] = "direct-only",
                                        [EYELET_RELAY_ONLY] = "relay-only"};
    for (int i = EYELET_ANY_PATH; i <= EYELET_RELAY_ONLY; i++) {
        if (strcmp(value, names[i]) == 0) {
            settings->policy = (enum eyelet_policy)i;
            return true;
        }
    }
    return false;
}

static bool take_port_mapping(struct settings *settings, const char *value)
{
    settings->no_port_mapping = strcmp(value, "no") == 0;
    return settings->no_port_mapping || strcmp(value, "yes") == 0;
}

static bool take_patience(struct settings *settings, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    unsigned long seconds = strtoul(value, NULL, 10);
    settings->patience_s = (uint32_t)seconds;
    return digits > 0 && digits <= MAX_DIGITS && value[digits] == '\0' && seconds > 0;
}

/* inih: 0 is an error, and the line's number is then returned by the parser. */
static int on_setting(void *user, const char *section, const char *name, const char *value)
{
    struct settings *settings = user;
    if (*section != '\0' || *value == '\0') {
        return 0;
    }
    if (strcmp(name, "mediator") == 0) {
        return replace(&settings->mediator, value);
    }
    if (strcmp(name, "key") == 0) {
        return replace(&settings->key, value);
    }
    if (strcmp(name, "paths") == 0) {
        return take_paths(settings, value);
    }
    if (strcmp(name, "port-mapping") == 0) {
        return take_port_mapping(settings, value);
    }
    if (strcmp(name, "patience") == 0) {
        return take_patience(settings, value);
    }
    return 0;
}

static bool check_parsed(struct settings *settings, int line)
{
    if (line > 0) {
        snprintf(settings->why, sizeof(settings->why),
                 "%s/config, line %d: expected \"mediator = HOST[:PORT][#ID]\", "
                 "\"key = FILE\", \"paths = any|direct-only|relay-only\", "
                 "\"port-mapping = yes|no\" or \"patience = SECONDS\"",
                 settings->folder ? settings->folder : ".", line);
    }
    return line <= 0;
}

static char *own_folder(void)
{
    const char *given = getenv("EYELET_CONFIG");
    if (given && *given) {
        return strdup(given);
    }
    const char *base = getenv("XDG_CONFIG_HOME");
    if (base && *base == '/') {
        return join(base, "eyelet");
    }
    const char *home = getenv("HOME");
    return home && *home ? join(home, ".config/eyelet") : NULL;
}

static bool make_folders(char *path)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode)) {
            errno = ENOTDIR;
        }
        return S_ISDIR(st.st_mode);
    }
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0700);
        *slash = '/';
        if (made != 0 && errno != EEXIST) {
            return false;
        }
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool read_file(struct settings *settings)
{
    char *path = join(settings->folder, "config");
    FILE *file = path ? fopen(path, "re") : NULL;
    bool ok = true;
    if (file) {
        ok = check_parsed(settings, ini_parse_file(file, on_setting, settings));
        fclose(file);
    } else if (errno != ENOENT) {
        ok = fail(settings, "cannot read", path ? path : "config");
    }
    free(path);
    return ok;
}

static bool take(char **at, const char *option, const char *variable)
{
    const char *value = option ? option : getenv(variable);
    return !value || *value == '\0' || replace(at, value);
}

/* What is not a text: first the environment, then the command line, which wins. */
static bool take_values(struct settings *settings, const struct options *options)
{
    static const struct {
        const char *variable;
        bool (*take)(struct settings *settings, const char *value);
        const char *expected;
    } variables[] = {
        {"EYELET_PATHS", take_paths, "any, direct-only or relay-only"},
        {"EYELET_PORT_MAPPING", take_port_mapping, "yes or no"},
        {"EYELET_PATIENCE", take_patience, "whole seconds, at least 1"},
    };
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *value = getenv(variables[i].variable);
        if (value && *value && !variables[i].take(settings, value)) {
            snprintf(settings->why, sizeof(settings->why), "%s is \"%.100s\": it must be %s",
                     variables[i].variable, value, variables[i].expected);
            return false;
        }
    }
    if (options->direct_only || options->relay_only) {
        settings->policy = options->direct_only ? EYELET_DIRECT_ONLY : EYELET_RELAY_ONLY;
    }
    if (options->patience_s > 0) {
        settings->patience_s = options->patience_s;
    }
    settings->no_port_mapping = settings->no_port_mapping || options->no_port_mapping;
    return true;
}

/* The library says only that it has refused the key file. */
static const char *key_file_why(const char *path, char why[static SETTINGS_WHY_BYTES])
{
    struct stat info;
    int size;
    if (stat(path, &info) != 0) {
        size = snprintf(why, SETTINGS_WHY_BYTES, "cannot make the key file %s: %s", path,
                        strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        size = snprintf(why, SETTINGS_WHY_BYTES, "the key file %s is not a file", path);
    } else if (access(path, R_OK) != 0) {
        size = snprintf(why, SETTINGS_WHY_BYTES, "cannot read the key file %s: %s", path,
                        strerror(errno));
    } else if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        size = snprintf(why, SETTINGS_WHY_BYTES,
                        "others than its owner may use the key file %s (mode %04o)", path,
                        (unsigned)info.st_mode & 07777);
    } else {
        size = snprintf(why, SETTINGS_WHY_BYTES, "%s does not hold a key of eyelet", path);
    }
    return size < 0 ? path : why;
}

bool settings_parse(struct settings *settings, const char *text)
{
    return check_parsed(settings, ini_parse_string(text, on_setting, settings));
}

bool settings_load(struct settings *settings, const struct options *options)
{
    memset(settings, 0, sizeof(*settings));
    settings->folder = own_folder();
    if (!settings->folder) {
        snprintf(settings->why, sizeof(settings->why),
                 "no folder for settings: set HOME, XDG_CONFIG_HOME or EYELET_CONFIG");
        return false;
    }
    if (!make_folders(settings->folder)) {
        return fail(settings, "cannot make the folder for settings", settings->folder);
    }
    if (!read_file(settings)) {
        return false;
    }
    settings->known_peers = join(settings->folder, "known_peers");
    settings->known_mediators = join(settings->folder, "known_mediators");
    settings->authorized_peers = join(settings->folder, "authorized_peers");
    if (!settings->key) {
        settings->key = join(settings->folder, "key");
    }
    if (!take(&settings->key, options->key, "EYELET_KEY") ||
        !take(&settings->mediator, options->mediator, "EYELET_MEDIATOR") || !settings->key ||
        !settings->known_peers || !settings->known_mediators || !settings->authorized_peers) {
        snprintf(settings->why, sizeof(settings->why), "out of memory");
        return false;
    }
    return take_values(settings, options);
}

const char *settings_open_why(const struct settings *settings, int error,
                              char why[static SETTINGS_WHY_BYTES])
{
    if (error == EYELET_ERR_KEY_FILE) {
        return key_file_why(settings->key, why);
    }
    if (error == EYELET_ERR_SYSTEM) {
        snprintf(why, SETTINGS_WHY_BYTES, "%s: %s", eyelet_strerror(error), strerror(errno));
        return why;
    }
    return eyelet_strerror(error);
}

void settings_free(struct settings *settings)
{
    free(settings->folder);
    free(settings->key);
    free(settings->mediator);
    free(settings->known_peers);
    free(settings->known_mediators);
    free(settings->authorized_peers);
    memset(settings, 0, sizeof(*settings));
}
