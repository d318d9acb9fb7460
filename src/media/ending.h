/* Media files by their names alone, where folders are searched; what is in them is found out when
   they are read. */
#ifndef MEDIA_ENDING_H
#define MEDIA_ENDING_H

#include <stddef.h>

enum media_rank { RANK_NONE, RANK_VIDEO, RANK_SOUND };
enum media_rank media_rank(const char *path); /* by its ending */

/* A path without its ending: bytes of it. */
size_t path_stem(const char *path);

#endif
