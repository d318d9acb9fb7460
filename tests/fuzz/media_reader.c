/* Any bytes as a media file: opened and read to the end, or an error; never more than a few seconds
   of output. */
#include "media/media.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct media_options options = {.max_seconds = 5};
    struct error err = {0};
    struct media *m;
    struct media_chunk chunk;
    char path[64];
    int fd = memfd_create("media", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        __builtin_trap();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = media_open(&m, path, &options, &err);
    if (rc == 0) {
        volatile float sink = 0; /* touches what was promised, so that a sanitizer sees it */
        while ((rc = media_read(m, &chunk, &err)) == 1) {
            if (chunk.kind == MEDIA_SOUND)
                sink += chunk.pcm[0] + chunk.pcm[chunk.count - 1];
            else
                sink += chunk.rgb[(size_t)(chunk.height - 1) * chunk.stride + 3 * chunk.width - 1];
        }
        (void)sink;
        media_close(m);
    }
    if (rc < 0 && (!err.message[0] || err.code != rc))
        __builtin_trap();
    close(fd);
    return 0;
}
