/* Any bytes as a clip's cache file. What is taken must hold together. */
#include "features/clip_cache.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct clip clip;
    uint64_t key;
    int rc = clip_cache_decode(&clip, &key, data, size, "fuzz", &err);
    if (rc == 0) {
        if (clip.has_sound != (clip.samples > 0) || clip.has_face != (clip.frames > 0))
            __builtin_trap();
        volatile float sink = 0;
        if (clip.has_sound)
            sink += clip.pcm[clip.samples - 1];
        if (clip.has_face)
            sink += clip.mouth[clip.frames * MOUTH_PIXELS - 1];
        (void)sink;
    } else if (!err.message[0] || clip.pcm || clip.mouth) {
        __builtin_trap();
    }
    clip_release(&clip);
    return 0;
}
