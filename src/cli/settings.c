/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    return 0;
}

static bool check_parsed(struct settings *settings, int line)
{
    if (line > 0) {
        snprintf(settings->why, sizeof(settings->why),
                 "config file in %s, line %d: expected \"mediator = HOST[:PORT][#ID]\" or "
                 "\"key = FILE\"",
                 settings->folder ? settings->folder : "memory", line);
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
    return true;
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
