#include "media/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavformat/avformat.h>
#include <libavutil/intreadwrite.h>

#define MAX_BOXES 100000
#define IO_BYTES (1 << 16)
#define SPOOL_LIMIT ((int64_t)16 << 30) /* bytes of a pipe that we are willing to keep */

static int fail(struct source *s, int code)
{
    s->error = code;
    return AVERROR(code);
}

static int64_t read_retrying(int fd, uint8_t *bytes, size_t size)
{
    ssize_t n;
    do
        n = read(fd, bytes, size);
    while (n < 0 && errno == EINTR);
    return n;
}

static int read_file(void *opaque, uint8_t *bytes, int size)
{
    struct source *s = opaque;
    ssize_t n = pread(s->fd, bytes, (size_t)size, s->position);
    if (n < 0)
        return fail(s, errno);
    s->position += n;
    return n ? (int)n : AVERROR_EOF;
}

/* Moves up to `size` bytes from the pipe to the spool's end, through `bytes`. */
static int64_t spool_more(struct source *s, uint8_t *bytes, int64_t size)
{
    int64_t n = read_retrying(s->fd, bytes, (size_t)size);
    if (n < 0)
        return fail(s, errno);
    if (n == 0)
        return AVERROR_EOF;
    if (s->spooled + n > SPOOL_LIMIT)
        return fail(s, EFBIG);
    if (pwrite(fileno(s->spool), bytes, (size_t)n, s->spooled) != n)
        return fail(s, errno ? errno : ENOSPC);
    s->spooled += n;
    return n;
}

static int read_pipe(void *opaque, uint8_t *bytes, int size)
{
    struct source *s = opaque;
    while (s->position > s->spooled) { /* a seek went ahead of what has been read */
        int64_t missing = s->position - s->spooled;
        int64_t n = spool_more(s, bytes, missing < size ? missing : size);
        if (n < 0)
            return (int)n;
    }
    int64_t n;
    if (s->position < s->spooled) {
        int64_t there = s->spooled - s->position;
        n = pread(fileno(s->spool), bytes, (size_t)(there < size ? there : size), s->position);
        if (n <= 0)
            return fail(s, n < 0 ? errno : EIO);
    } else {
        n = spool_more(s, bytes, size);
        if (n < 0)
            return (int)n;
    }
    s->position += n;
    return (int)n;
}

static int64_t seek(void *opaque, int64_t offset, int whence)
{
    struct source *s = opaque;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE)
        return s->size >= 0 ? s->size : AVERROR(ENOSYS);
    if (whence == SEEK_CUR)
        offset += s->position;
    else if (whence == SEEK_END && s->size >= 0)
        offset += s->size;
    else if (whence != SEEK_SET)
        return AVERROR(ENOSYS);
    if (offset < 0)
        return AVERROR(EINVAL);
    s->position = offset;
    return offset;
}

static int open_descriptor(struct source *s, const char *path, struct error *err)
{
    struct stat st;
    bool standard_input = strcmp(path, "-") == 0;
    if (standard_input)
        s->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return error_set(err, ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, ERROR_IO, "%s: is a folder, expected a media file", path);
    s->pipe = !S_ISREG(st.st_mode);
    s->size = s->pipe ? -1 : st.st_size;
    if (s->size == 0)
        return error_set(err, ERROR_FORMAT, "%s: is empty (0 bytes), expected a media file", path);
    if (s->pipe)
        s->spool = tmpfile();
    if (s->pipe && !s->spool)
        return error_set(err, ERROR_IO, "%s: cannot make a temporary file for the pipe: %s", path,
                         strerror(errno));
    return 0;
}

int source_open(struct source *s, const char *path, struct error *err)
{
    *s = (struct source){.fd = -1};
    int rc = open_descriptor(s, path, err);
    if (rc)
        return rc;
    uint8_t *buffer = av_malloc(IO_BYTES);
    if (buffer)
        s->io =
            avio_alloc_context(buffer, IO_BYTES, 0, s, s->pipe ? read_pipe : read_file, NULL, seek);
    if (!s->io) {
        av_free(buffer);
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    }
    return 0;
}

void source_close(struct source *s)
{
    if (s->io) {
        av_freep(&s->io->buffer);
        avio_context_free(&s->io);
    }
    if (s->spool)
        fclose(s->spool);
    if (s->fd >= 0)
        close(s->fd);
    *s = (struct source){.fd = -1};
}

int source_peek(const struct source *s, uint8_t *bytes, int count, int64_t offset)
{
    ssize_t n = s->pipe ? 0 : pread(s->fd, bytes, (size_t)count, offset);
    return n > 0 ? (int)n : 0;
}

/*
 * An mp4 says how long it is: a chain of boxes (32 bit big-endian size, 4 letters; size 1: 64 bit
 * size follows; size 0: to the end of the file). One that reaches past the file's end was cut,
 * which FFmpeg would pass over in silence. Only boxes that matter count: some writers leave rubbish
 * at the end.
 */
int source_complete(const struct source *s, const char *path, struct error *err)
{
    uint8_t box[16];
    uint64_t start = 0, length = (uint64_t)s->size;
    if (source_peek(s, box, 8, 0) < 8 || memcmp(box + 4, "ftyp", 4) != 0)
        return 0;
    for (int count = 0; count < MAX_BOXES; count++) {
        if (source_peek(s, box, 16, (int64_t)start) < 8)
            return 0;
        uint64_t size = AV_RB32(box);
        if (size == 1)
            size = AV_RB64(box + 8);
        bool matters = !memcmp(box + 4, "mdat", 4) || !memcmp(box + 4, "moov", 4) ||
                       !memcmp(box + 4, "moof", 4);
        if (size > length - start && matters)
            return error_set(err, ERROR_FORMAT,
                             "%s: an mp4 that is cut short: %llu bytes of at least %llu; copy or "
                             "record it again",
                             path, (unsigned long long)length,
                             (unsigned long long)(size < length ? start + size : size));
        if (size < 8 || size > length - start)
            return 0;
        start += size;
    }
    return 0;
}
