/*
 * Decoded clips kept on disk: training reads every clip in every epoch, and finding the mouth costs
 * far more than reading it back. One file per clip, named by a hash of the clip's path and options:
 *
 *     offset  bytes
 *     0       8      "MOMECLIP"
 *     8       4      version (CLIP_CACHE_VERSION; raised whenever clips come out differently)
 *     12      4      1 has_sound | 2 has_pictures | 4 has_face | 8 lips_move
 *     16      8      key: hash of path, size, time of change of the source, and options
 *     24      8      samples
 *     32      8      frames
 *     40      8      hash of the payload
 *     48      4      face
 *     52      4      faces
 *     56             float pcm[samples], uint8 mouth[frames][96][96]
 *
 * all little-endian. A file that is not exactly that, or whose key is not the wanted one, is made
 * anew. Written to a temporary and renamed, so that processes may share a folder.
 */
#ifndef FEATURES_CLIP_CACHE_H
#define FEATURES_CLIP_CACHE_H

#include "features/clip.h"

#include <stddef.h>

#define CLIP_CACHE_VERSION 2

/* clip_load through the cache in `folder` (made if missing). "-" and a debug_mouth go around it.
   The clip is the same to the bit as clip_load's. */
int clip_cache_load(struct clip *clip, const char *folder, const char *path,
                    const struct clip_options *options, struct error *err);

/* The bytes of a cache file <-> a clip. `name` is for the message. Any key is accepted. */
int clip_cache_decode(struct clip *clip, uint64_t *key, const void *bytes, size_t size,
                      const char *name, struct error *err);
int clip_cache_write(const struct clip *clip, uint64_t key, const char *name, struct error *err);

#endif
