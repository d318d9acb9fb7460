/* Any bytes as a safetensors file: an error, or tensors whose every element can be read. */
#include "base/file.h"
#include "weights/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct error err;
    struct checkpoint *c;
    snprintf(path, sizeof path, "/dev/shm/mome-fuzz-weights.%d", (int)getpid());
    if (file_write(path, data, size, &err) == 0 && checkpoint_open(&c, path, &err) == 0) {
        const struct weights *s = checkpoint_tensors(c);
        for (int i = 0; i < weights_count(s); i++) {
            const struct stored_tensor *t = weights_at(s, i);
            float *values = malloc(sizeof *values * (size_t)(t->count + 1));
            if (values)
                checkpoint_read(c, values, t->name, t->dims, t->shape, &err);
            free(values);
        }
        checkpoint_close(c);
    }
    unlink(path);
    return 0;
}
