/* Training configurations from an enemy: read from a file as `mome train` does, or refused with one
   line. Limits that make later code safe are checked here. */
#include "train/train_config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check_limits(const struct train_config *c)
{
    assert(c->output && c->cache && c->source_count >= 1 && c->stage_count >= 1);
    for (int i = 0; i < c->stage_count; i++) {
        const struct stage_config *s = &c->stages[i];
        assert(s->batch >= 1 && s->batch <= TRAIN_MAX_BATCH && s->steps >= 1 && s->parts);
        assert(s->augment.mel_masks >= 0 && s->augment.time_mask_frames >= 0);
        assert(s->augment.margin >= -1 && s->augment.shift <= 4 && s->augment.speed <= 0.5);
        assert(s->name[0] && memchr(s->name, 0, sizeof s->name));
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char path[] = "/tmp/mome-fuzz-XXXXXX";
    struct train_config config;
    struct error err = {0};
    int fd = mkstemp(path);
    if (fd < 0)
        return 0;
    ssize_t written = write(fd, data, size);
    close(fd);
    if (written == (ssize_t)size) {
        if (train_config_read(&config, path, &err) == 0) {
            check_limits(&config);
            train_config_release(&config);
        } else {
            assert(err.code < 0 && err.message[0] && !strchr(err.message, '\n'));
        }
    }
    unlink(path);
    return 0;
}
