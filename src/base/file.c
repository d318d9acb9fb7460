#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITER_SUFFIX = 32 }; /* bytes of ".PID.tmp", at most */

static int io_error(struct error *err, const char *path)
{
    return error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
}

static int open_regular(int *fd, size_t *size, const char *path, struct error *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return io_error(err, path);
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        return error_set(err, ERROR_IO, "%s: not a regular file", path);
    }
    *size = (size_t)st.st_size;
    return 0;
}

int file_map_open(struct file_map *map, const char *path, struct error *err)
{
    int fd;
    *map = (struct file_map){0};
    int rc = open_regular(&fd, &map->size, path, err);
    if (rc)
        return rc;
    if (map->size) {
        void *data = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            rc = io_error(err, path);
        else
            map->data = data;
    }
    close(fd);
    return rc;
}

void file_map_close(struct file_map *map)
{
    if (map->data)
        munmap((void *)map->data, map->size);
    *map = (struct file_map){0};
}

void file_map_expect(const struct file_map *map)
{
    if (map->data)
        madvise((void *)map->data, map->size, MADV_WILLNEED); /* a hint: it may fail */
}

void file_map_forget(const struct file_map *map, const void *from, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), base = (uintptr_t)map->data;
    const uintptr_t at = (uintptr_t)from;
    if (!map->data || at < base || at - base > map->size || bytes > map->size - (at - base))
        return;
    const uintptr_t first = (at + page - 1) / page * page, end = (at + bytes) / page * page;
    if (first < end)
        madvise((void *)first, end - first, MADV_DONTNEED); /* a hint: it may fail */
}

int file_read(char **text, size_t *size, const char *path, size_t limit_bytes, struct error *err)
{
    struct file_map map;
    *text = NULL;
    int rc = file_map_open(&map, path, err);
    if (rc)
        return rc;
    if (map.size > limit_bytes) {
        rc = error_set(err, ERROR_LIMIT, "%s: %zu bytes, at most %zu are accepted", path, map.size,
                       limit_bytes);
        goto out;
    }
    *text = memory_new(map.size + 1, 1);
    if (!*text) {
        rc = error_set(err, ERROR_MEMORY, "%s: out of memory", path);
        goto out;
    }
    if (map.size)
        memcpy(*text, map.data, map.size);
    *size = map.size;
out:
    file_map_close(&map);
    return rc;
}

/* A file without a name in the folder that `path` is in; -1: not on this file system. */
static int open_unnamed(const struct file_writer *w)
{
    const char *slash = strrchr(w->path, '/');
    char *folder = memory_strdup(slash ? w->path : ".");
    if (folder && slash)
        folder[slash == w->path ? 1 : slash - w->path] = 0;
    int fd = folder ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
    memory_free(folder);
    if (fd >= 0 && access("/proc/self/fd", X_OK) != 0) { /* it could not get a name */
        close(fd);
        return -1;
    }
    return fd;
}

/* Not named before commit, where the file system can do that. */
static FILE *open_temporary(struct file_writer *w, const char *path)
{
    snprintf(w->temporary, strlen(path) + WRITER_SUFFIX, "%s.%ld.tmp", path, (long)getpid());
    int fd = open_unnamed(w);
    w->unnamed = fd >= 0;
    if (!w->unnamed)
        return fopen(w->temporary, "wbe");
    FILE *stream = fdopen(fd, "wb");
    if (!stream)
        close(fd);
    return stream;
}

int file_writer_open(struct file_writer *w, const char *path, struct error *err)
{
    *w = (struct file_writer){0};
    w->path = memory_strdup(path);
    w->temporary = memory_new(strlen(path) + WRITER_SUFFIX, 1);
    if (!w->path || !w->temporary) {
        file_writer_abandon(w);
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    }
    /* a pipe or a device (/dev/stdout) is written to as it is: a rename would replace it */
    struct stat st;
    bool direct = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    w->stream = direct ? fopen(path, "wbe") : open_temporary(w, path);
    if (!w->stream) {
        int rc = error_set(err, ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
        w->temporary[0] = 0;
        file_writer_abandon(w);
        return rc;
    }
    return 0;
}

/* The unnamed file gets its place or, where there is a file already, which no link replaces, the
   temporary name. Not 0: errno says why. */
static int give_name(struct file_writer *w)
{
    char from[64];
    snprintf(from, sizeof from, "/proc/self/fd/%d", fileno(w->stream));
    if (linkat(AT_FDCWD, from, AT_FDCWD, w->path, AT_SYMLINK_FOLLOW) == 0) {
        w->temporary[0] = 0;
        return 0;
    }
    if (errno != EEXIST)
        return -1;
    unlink(w->temporary); /* of a process of this number, killed before its rename */
    w->unnamed = false;
    return linkat(AT_FDCWD, from, AT_FDCWD, w->temporary, AT_SYMLINK_FOLLOW);
}

int file_writer_commit(struct file_writer *w, struct error *err)
{
    int rc = 0;
    bool direct = !w->temporary[0];
    int bad = ferror(w->stream) || fflush(w->stream) || (!direct && fsync(fileno(w->stream))) ||
              (w->unnamed && give_name(w));
    int saved = errno;
    bad |= fclose(w->stream) != 0;
    w->stream = NULL;
    if (bad)
        rc = error_set(err, ERROR_IO, "%s: cannot write: %s", w->path,
                       strerror(saved ? saved : EIO));
    else if (w->temporary[0] && rename(w->temporary, w->path) != 0)
        rc = io_error(err, w->path);
    else
        w->temporary[0] = 0;
    file_writer_abandon(w);
    return rc;
}

void file_writer_abandon(struct file_writer *w)
{
    if (w->stream)
        fclose(w->stream);
    if (w->temporary && w->temporary[0] && !w->unnamed)
        unlink(w->temporary);
    memory_free(w->temporary);
    memory_free(w->path);
    *w = (struct file_writer){0};
}

/* "NAME.123.tmp" */
static bool is_temporary(const char *name)
{
    const char *end = strrchr(name, '.');
    if (!end || strcmp(end, ".tmp"))
        return false;
    const char *number = end;
    while (number > name && number[-1] >= '0' && number[-1] <= '9')
        number--;
    return number < end && number > name + 1 && number[-1] == '.';
}

void file_remove_temporaries(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (is_temporary(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

int file_write(const char *path, const void *bytes, size_t size, struct error *err)
{
    struct file_writer w;
    int rc = file_writer_open(&w, path, err);
    if (rc)
        return rc;
    fwrite(bytes, 1, size, w.stream);
    return file_writer_commit(&w, err);
}

int file_make_folder(const char *path, struct error *err)
{
    char *copy = memory_strdup(path);
    if (!copy)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    int rc = 0;
    for (char *p = copy + 1; !rc; p++) {
        if (*p && *p != '/')
            continue;
        char end = *p;
        *p = 0;
        struct stat st;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            rc = io_error(err, copy);
        else if (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode))
            rc = error_set(err, ERROR_IO, "%s: is there already and not a folder", copy);
        *p = end;
        if (!end)
            break;
    }
    memory_free(copy);
    return rc;
}

char *file_join(const char *folder, const char *name)
{
    if (name[0] == '/' || !folder[0])
        return memory_strdup(name);
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = memory_new(n, 1);
    if (path)
        snprintf(path, n, "%s/%s", folder, name);
    return path;
}
