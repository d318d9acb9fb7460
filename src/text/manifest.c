/*
 * The file is read whole and cut in place: tabs, line ends and the blanks and colons of words_ms
 * become NULs, and the entries point into it. Only the paths are made anew, the folder in front.
 */
#include "text/manifest.h"
#include "base/file.h"
#include "base/memory.h"
#include "text/normalize.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)1 << 30) /* LRS3 with its word times has 100 million */
#define MAX_LINES (1 << 22)
#define MAX_PATH_BYTES 4095
#define MAX_TEXT_BYTES 16384
#define MAX_COLUMNS 64
#define MAX_TIME_MS 86400000 /* a day */

enum column { COLUMN_PATH, COLUMN_TEXT, COLUMN_WORDS, COLUMN_COUNT };

struct reader {
    struct manifest *manifest;
    const char *file;
    char *folder;            /* of the file; "" for the current one */
    int place[COLUMN_COUNT]; /* which column of the file; -1: none */
    size_t word_count;
    manifest_warn *warn;
    void *arg;
};

/* Cuts the next field off *text, up to the byte `end`, or all of it (then *text is NULL). */
static char *cut(char **text, char end)
{
    char *field = *text;
    char *stop = strchr(field, end);
    if (stop)
        *stop++ = 0;
    *text = stop;
    return field;
}

static int read_header(struct reader *r, char *line, struct error *err)
{
    static const char *const names[COLUMN_COUNT] = {"path", "text", "words_ms"};
    for (int i = 0; i < COLUMN_COUNT; i++)
        r->place[i] = -1;
    if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3;
    for (int column = 0; line && column < MAX_COLUMNS; column++) {
        const char *name = cut(&line, '\t');
        for (int i = 0; i < COLUMN_COUNT; i++)
            if (strcmp(name, names[i]) == 0 && r->place[i] < 0)
                r->place[i] = column;
    }
    if (r->place[COLUMN_PATH] < 0 || r->place[COLUMN_TEXT] < 0)
        return error_set(err, ERROR_FORMAT,
                         "%s: the first line must name tab-separated columns, among them `path` "
                         "and `text`",
                         r->file);
    return 0;
}

/* Digits only, at most a day. */
static bool read_time(int32_t *ms, const char *text)
{
    int64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > MAX_TIME_MS)
            return false;
        value = 10 * value + (*text - '0');
    }
    *ms = (int32_t)value;
    return value <= MAX_TIME_MS;
}

/* "word:start:end"; the word itself may hold colons. */
static bool read_word(struct manifest_word *word, char *text)
{
    char *end = strrchr(text, ':');
    if (!end)
        return false;
    *end = 0;
    char *start = strrchr(text, ':');
    if (!start || start == text)
        return false;
    *start = 0;
    word->text = text;
    return read_time(&word->start_ms, start + 1) && read_time(&word->end_ms, end + 1) &&
           word->start_ms <= word->end_ms;
}

static const char *read_words(struct reader *r, struct manifest_entry *entry, char *text)
{
    struct manifest_word *words = r->manifest->words + r->word_count;
    entry->words = NULL;
    entry->word_count = 0;
    while (text) {
        char *word = cut(&text, ' ');
        if (!*word)
            continue;
        if (!read_word(&words[entry->word_count], word))
            return "words_ms is not a list of word:start:end in rising milliseconds";
        entry->word_count++;
    }
    if (entry->word_count)
        entry->words = words;
    return NULL;
}

/* What is wrong with a line; NULL: nothing, *entry is filled. */
static const char *read_line(struct reader *r, struct manifest_entry *entry, char *line,
                             size_t length)
{
    char *fields[COLUMN_COUNT] = {0};
    if (normalize_valid(line, length) != length)
        return "it is not UTF-8";
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return "it has a control character";
    for (int column = 0; line; column++) {
        char *field = cut(&line, '\t');
        for (int i = 0; i < COLUMN_COUNT; i++)
            if (r->place[i] == column)
                fields[i] = field;
    }
    const char *path = fields[COLUMN_PATH];
    entry->text = fields[COLUMN_TEXT];
    if (!path || !*path)
        return "it has no path";
    if (!entry->text || !*entry->text)
        return "it has no text";
    if (strlen(path) + strlen(r->folder) >= MAX_PATH_BYTES || strlen(entry->text) > MAX_TEXT_BYTES)
        return "its path or text is too long";
    const char *fault = read_words(r, entry, fields[COLUMN_WORDS]);
    if (fault)
        return fault;
    entry->path = file_join(r->folder, path);
    if (!entry->path)
        return "there is no memory for it";
    r->word_count += (size_t)entry->word_count;
    return NULL;
}

static void report(struct reader *r, int64_t line, const char *fault)
{
    char message[4608];
    r->manifest->broken++;
    snprintf(message, sizeof message, "%s:%lld: %s", r->file, (long long)line, fault);
    if (r->warn)
        r->warn(r->arg, message);
}

/* Cuts the next line of [*at, end) off, without its line end; *length without the NUL. */
static char *next_line(char **at, char *end, size_t *length)
{
    char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop)
        stop = end;
    *at = stop < end ? stop + 1 : end;
    if (stop > line && stop[-1] == '\r')
        stop--;
    *stop = 0; /* the file is followed by a NUL of ours, so end may be written */
    *length = (size_t)(stop - line);
    return line;
}

static int read_lines(struct reader *r, size_t size, struct error *err)
{
    struct manifest *m = r->manifest;
    char *at = m->text, *end = m->text + size;
    size_t length, lines = 1, colons = 0;
    for (const char *p = at; p < end; p++) {
        lines += *p == '\n';
        colons += *p == ':';
    }
    if (lines > MAX_LINES)
        return error_set(err, ERROR_LIMIT, "%s: more than %d lines", r->file, MAX_LINES);
    m->entries = memory_new(lines, sizeof *m->entries);
    m->words = memory_new(colons / 2 + 1, sizeof *m->words); /* a word has two, or breaks */
    if (!m->entries || !m->words)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", r->file);
    int rc = read_header(r, next_line(&at, end, &length), err);
    for (int64_t number = 2; at < end && !rc; number++) {
        char *line = next_line(&at, end, &length);
        if (!length)
            continue;
        struct manifest_entry *entry = &m->entries[m->count];
        const char *fault = read_line(r, entry, line, length);
        entry->line = number;
        if (fault)
            report(r, number, fault);
        else
            m->count++;
    }
    if (!rc && !m->count)
        rc = error_set(err, ERROR_FORMAT, "%s: no usable line (%lld broken)", r->file,
                       (long long)m->broken);
    return rc;
}

int manifest_load(struct manifest *m, const char *path, manifest_warn *warn, void *arg,
                  struct error *err)
{
    size_t size;
    *m = (struct manifest){0};
    int rc = file_read(&m->text, &size, path, MAX_FILE_BYTES, err);
    if (rc)
        return rc;
    struct reader r = {.manifest = m, .file = path, .warn = warn, .arg = arg};
    const char *name = strrchr(path, '/');
    r.folder = memory_strdup(path);
    if (r.folder) {
        r.folder[name ? (name > path ? name - path : 1) : 0] = 0;
        rc = read_lines(&r, size, err);
    } else {
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    }
    memory_free(r.folder);
    if (rc)
        manifest_release(m);
    return rc;
}

void manifest_release(struct manifest *m)
{
    for (int64_t i = 0; i < m->count; i++)
        memory_free(m->entries[i].path);
    memory_free(m->entries);
    memory_free(m->words);
    memory_free(m->text);
    *m = (struct manifest){0};
}
