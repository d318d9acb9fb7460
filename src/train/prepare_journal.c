#include "train/prepare_journal.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 4096
#define MAX_FILE_BYTES ((size_t)1 << 31)
#define MAX_LINE (1 << 20)
#define MAX_OUTCOMES (1 << 16) /* pieces of a clip */

struct record {
    const char *path, *rest; /* into the files' bytes, terminated */
    uint64_t key;
    int64_t order;
    enum drop drop;
};

struct journal {
    char *files[MAX_FILES];
    int file_count;
    struct record *records; /* [count], by path, then order */
    int64_t count, room;
};

/* ---- reading ---- */

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "out of memory for the journal of prepared clips");
}

/* Cuts a field up to a tab, or what is left, off *text; NULL: there is none. */
static char *cut(char **text)
{
    char *field = *text;
    char *tab = field ? strchr(field, '\t') : NULL;
    if (tab)
        *tab++ = 0;
    *text = tab;
    return field;
}

static bool read_key(uint64_t *key, const char *text)
{
    *key = 0;
    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return false;
        *key = *key << 4 | (uint64_t)(digit - digits);
    }
    return text[16] == 0;
}

static bool find_drop(enum drop *drop, const char *name)
{
    for (int i = 0; i < DROPS; i++)
        if (strcmp(name, drop_name((enum drop)i)) == 0) {
            *drop = (enum drop)i;
            return true;
        }
    return false;
}

static int add_line(struct journal *j, char *line, struct error *err)
{
    struct record r = {.order = j->count};
    r.path = cut(&line);
    const char *key = cut(&line), *drop = cut(&line);
    if (!key || !drop || !read_key(&r.key, key) || !find_drop(&r.drop, drop))
        return 0;
    r.rest = line ? line : "";
    if (j->count == j->room) {
        int64_t room = j->room ? 2 * j->room : 256;
        struct record *records = memory_new((size_t)room, sizeof *records);
        if (!records)
            return out_of_memory(err);
        if (j->count)
            memcpy(records, j->records, (size_t)j->count * sizeof *records);
        memory_free(j->records);
        j->records = records;
        j->room = room;
    }
    j->records[j->count++] = r;
    return 0;
}

int journal_new(struct journal **j, struct error *err)
{
    *j = memory_new(1, sizeof **j);
    return *j ? 0 : out_of_memory(err);
}

int journal_take(struct journal *j, char *bytes, size_t size, struct error *err)
{
    int rc = 0;
    if (j->file_count == MAX_FILES) {
        memory_free(bytes);
        return error_set(err, ERROR_LIMIT, "more than %d journals of prepared clips", MAX_FILES);
    }
    j->files[j->file_count++] = bytes;
    for (char *at = bytes, *end = bytes + size, *stop; at < end && !rc; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            break; /* half a line */
        *stop = 0;
        if (!memchr(at, 0, (size_t)(stop - at)))
            rc = add_line(j, at, err);
    }
    return rc;
}

static int compare(const void *left, const void *right)
{
    const struct record *a = left, *b = right;
    int order = strcmp(a->path, b->path);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

void journal_sort(struct journal *j)
{
    if (j->count)
        qsort(j->records, (size_t)j->count, sizeof *j->records, compare);
}

int journal_load(struct journal **out, const char *folder, struct error *err)
{
    struct dirent **names = NULL;
    struct journal *j;
    int rc = journal_new(&j, err);
    int n = rc ? 0 : scandir(folder, &names, NULL, alphasort);
    if (n < 0)
        rc = error_set(err, ERROR_IO, "%s: cannot be read: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(names[i]->d_name, '.');
        char *path =
            !rc && dot && strcmp(dot, ".tsv") == 0 ? file_join(folder, names[i]->d_name) : NULL;
        char *bytes;
        size_t size;
        if (path)
            rc = file_read(&bytes, &size, path, MAX_FILE_BYTES, err);
        if (path && !rc)
            rc = journal_take(j, bytes, size, err);
        memory_free(path);
        free(names[i]);
    }
    free(names);
    if (rc) {
        journal_free(j);
        j = NULL;
    } else {
        journal_sort(j);
    }
    *out = j;
    return rc;
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    for (int i = 0; i < j->file_count; i++)
        memory_free(j->files[i]);
    memory_free(j->records);
    memory_free(j);
}

/* ---- finding ---- */

/* Digits up to `end`, which is passed over. */
static bool read_digits(int64_t *value, const char **text, char end)
{
    const char *p = *text;
    *value = 0;
    while (*p >= '0' && *p <= '9' && *value < INT64_MAX / 100)
        *value = 10 * *value + (*p++ - '0');
    if (p == *text || *p != end)
        return false;
    *text = end ? p + 1 : p;
    return true;
}

static bool read_outcome(struct outcome *o, const char *text)
{
    int64_t ms;
    *o = (struct outcome){0};
    if (read_digits(&o->bytes, &text, ':')) {
        o->ms = read_digits(&ms, &text, 0) && ms < INT32_MAX ? (int32_t)ms : 0;
        return o->bytes > 0 && o->ms > 0;
    }
    return find_drop(&o->drop, text) && o->drop;
}

static bool read_outcomes(struct prepared *p, const char *rest)
{
    char *copy = memory_strdup(rest), *at = copy;
    int count = 1;
    for (const char *c = rest; *c; c++)
        count += *c == '\t';
    p->outcomes = count <= MAX_OUTCOMES ? memory_new((size_t)count, sizeof *p->outcomes) : NULL;
    bool good = copy && p->outcomes;
    for (p->count = 0; good && p->count < count; p->count++)
        good = read_outcome(&p->outcomes[p->count], cut(&at));
    memory_free(copy);
    return good;
}

bool journal_find(const struct journal *j, struct prepared *p, const char *path, uint64_t key)
{
    int64_t low = 0, high = j->count; /* the last record with this path */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(j->records[middle].path, path) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    *p = (struct prepared){0};
    while (low && strcmp(j->records[low - 1].path, path) == 0 && j->records[low - 1].key != key)
        low--;
    const struct record *r = low ? &j->records[low - 1] : NULL;
    if (!r || strcmp(r->path, path) != 0)
        return false;
    p->drop = r->drop;
    p->known = true;
    if (r->drop)
        p->detail = *r->rest ? memory_strdup(r->rest) : NULL;
    else if (!read_outcomes(p, r->rest))
        prepared_release(p);
    return p->known;
}

/* ---- writing ---- */

static int cannot_write(const char *path, struct error *err)
{
    return error_set(err, ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
}

/* A run that was killed may have left half a line: what comes next must not be glued to it. */
static int end_last_line(const struct journal_writer *w, struct error *err)
{
    struct stat st;
    char last = '\n';
    if (fstat(w->fd, &st) != 0 || (st.st_size && pread(w->fd, &last, 1, st.st_size - 1) != 1))
        return error_set(err, ERROR_IO, "%s: cannot be read: %s", w->path, strerror(errno));
    return last == '\n' || write(w->fd, "\n", 1) == 1 ? 0 : cannot_write(w->path, err);
}

int journal_open(struct journal_writer *w, const char *path, struct error *err)
{
    *w = (struct journal_writer){.fd = -1, .path = memory_strdup(path)};
    if (!w->path)
        return out_of_memory(err);
    int rc = 0;
    w->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (w->fd < 0)
        rc = cannot_write(path, err);
    else if (flock(w->fd, LOCK_EX | LOCK_NB) != 0)
        rc = error_set(err, ERROR_IO, "%s: %s", path,
                       errno == EWOULDBLOCK ? "another run is preparing this very shard"
                                            : strerror(errno));
    if (!rc)
        rc = end_last_line(w, err);
    if (rc)
        journal_close(w);
    return rc;
}

int journal_add(struct journal_writer *w, const char *path, uint64_t key, const struct prepared *p,
                struct error *err)
{
    struct strbuf line;
    strbuf_init(&line, MAX_LINE);
    strbuf_addf(&line, "%s\t%016llx\t%s", path, (unsigned long long)key, drop_name(p->drop));
    for (int i = 0; i < p->count; i++)
        if (p->outcomes[i].drop)
            strbuf_addf(&line, "\t%s", drop_name(p->outcomes[i].drop));
        else
            strbuf_addf(&line, "\t%lld:%d", (long long)p->outcomes[i].bytes, p->outcomes[i].ms);
    if (p->detail) {
        const size_t start = line.length + 1;
        strbuf_addf(&line, "\t%s", p->detail);
        for (size_t i = start; i < line.length; i++)
            if ((unsigned char)line.data[i] < 0x20 || line.data[i] == 0x7f)
                line.data[i] = ' ';
    }
    strbuf_adds(&line, "\n");
    int rc = 0;
    if (line.failed)
        rc = out_of_memory(err);
    else if (write(w->fd, line.data, line.length) != (ssize_t)line.length) {
        errno = errno ? errno : ENOSPC;
        rc = cannot_write(w->path, err);
    }
    strbuf_release(&line);
    return rc;
}

void journal_close(struct journal_writer *w)
{
    if (w->path && w->fd >= 0)
        close(w->fd);
    memory_free(w->path);
    *w = (struct journal_writer){.fd = -1};
}
