/*
 * two_threads MODEL FILE FILE: two files at the same time, each on a thread and a stream of its
 * own; the model is shared, and is in memory once.
 */
#include <mome.h>

#include <pthread.h>
#include <stdio.h>

struct work {
    mome_model *model;
    const char *path;
    mome_stream *stream;
    int rc;
};

static void *transcribe(void *arg)
{
    struct work *w = arg;
    w->rc = mome_stream_open(&w->stream, w->model, NULL);
    w->rc = w->rc ? w->rc : mome_stream_file(w->stream, w->path);
    if (w->rc) /* mome_error is of the thread whose call failed */
        fprintf(stderr, "%s\n", mome_error());
    return NULL;
}

int main(int argc, char **argv)
{
    mome_model *model;
    const mome_result *r;
    pthread_t threads[2];
    int rc = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL FILE FILE\n", argv[0]);
        return 2;
    }
    if (mome_model_open(&model, argv[1], NULL)) {
        fprintf(stderr, "%s\n", mome_error());
        return 1;
    }
    struct work works[2] = {{.model = model, .path = argv[2]}, {.model = model, .path = argv[3]}};
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, transcribe, &works[i]))
            return 1;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        rc |= works[i].rc;
        while (!works[i].rc && (r = mome_stream_next(works[i].stream)))
            printf("%s: %s\n", works[i].path, r->text);
        mome_stream_close(works[i].stream);
    }
    mome_model_close(model);
    return rc != 0;
}
