/*
 * batch MODEL SOUND...: several sources at once, as a server has them: their utterances are decoded
 * together, which takes less time than one after the other. Sound as live_pcm.c takes it:
 *
 *     $ ffmpeg -i samples/000000.mp4 -ar 16000 -ac 1 -f s16le one.raw
 *     $ batch models/tiny one.raw two.raw
 */
#include <mome.h>

#include <stdio.h>

enum { RATE = 16000, MOST = 64 };

static int push_file(mome_stream *stream, const char *path)
{
    FILE *f = fopen(path, "rb");
    int16_t values[RATE]; /* of a little-endian machine */
    float pcm[RATE];
    size_t samples;
    int rc = 0;
    if (!f) {
        perror(path);
        return MOME_ERROR_IO;
    }
    while (!rc && (samples = fread(values, sizeof *values, RATE, f)) > 0) {
        for (size_t i = 0; i < samples; i++)
            pcm[i] = values[i] / 32768.0f;
        rc = mome_stream_sound(stream, pcm, samples);
    }
    fclose(f);
    return rc ? rc : mome_stream_finish(stream);
}

/* Batch after batch, until no stream has anything left. */
static int decode_all(mome_stream **streams, size_t count)
{
    int decoded;
    do
        decoded = mome_streams_decode(streams, count);
    while (decoded > 0);
    return decoded;
}

static int print_all(mome_stream *stream, const char *name)
{
    const mome_result *r;
    while ((r = mome_stream_next(stream)))
        printf("%s: %s\n", name, r->text);
    return mome_stream_code(stream);
}

int main(int argc, char **argv)
{
    mome_model *model = NULL;
    mome_stream *streams[MOST] = {NULL};
    mome_stream_options options;
    mome_stream_options_init(&options);
    options.pictures = 0;
    const int count = argc - 2;
    if (count < 1 || count > MOST) {
        fprintf(stderr, "usage: %s MODEL SOUND...\n", argv[0]);
        return 2;
    }
    int rc = mome_model_open(&model, argv[1], NULL);
    for (int i = 0; !rc && i < count; i++) {
        rc = mome_stream_open(&streams[i], model, &options);
        rc = rc ? rc : push_file(streams[i], argv[2 + i]);
    }
    rc = rc ? rc : decode_all(streams, (size_t)count);
    for (int i = 0; !rc && i < count; i++)
        rc = print_all(streams[i], argv[2 + i]);
    if (rc)
        fprintf(stderr, "%s\n", mome_error());
    for (int i = 0; i < count; i++)
        mome_stream_close(streams[i]);
    mome_model_close(model);
    return rc != 0;
}
