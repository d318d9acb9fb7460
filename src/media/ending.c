#include "media/ending.h"

#include <string.h>
#include <strings.h>

enum media_rank media_rank(const char *path)
{
    static const struct {
        const char *ending;
        enum media_rank rank;
    } endings[] = {
        {".mp4", RANK_VIDEO},  {".mkv", RANK_VIDEO}, {".mpg", RANK_VIDEO},  {".mpeg", RANK_VIDEO},
        {".avi", RANK_VIDEO},  {".mov", RANK_VIDEO}, {".m4v", RANK_VIDEO},  {".ts", RANK_VIDEO},
        {".webm", RANK_VIDEO}, {".wav", RANK_SOUND}, {".flac", RANK_SOUND}, {".ogg", RANK_SOUND},
        {".opus", RANK_SOUND}, {".mp3", RANK_SOUND}, {".m4a", RANK_SOUND},  {".aac", RANK_SOUND}};
    const char *ending = path + path_stem(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(ending, endings[i].ending) == 0)
            return endings[i].rank;
    return RANK_NONE;
}

size_t path_stem(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return (size_t)((dot && dot > name ? dot : name + strlen(name)) - path);
}
