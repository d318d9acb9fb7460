/*
 * live_pcm MODEL: text of sound as it comes from standard input (16 kHz, mono, signed 16 bits,
 * little-endian). "~" begins what an utterance that goes on says so far, once a second.
 *
 *     $ arecord -q -f S16_LE -r 16000 -c 1 -t raw | live_pcm models/base-en
 */
#include <mome.h>

#include <stdio.h>

enum { RATE = 16000, CHUNK = RATE / 4 };

/* Up to CHUNK samples; 0: the end. */
static size_t read_sound(float *pcm)
{
    unsigned char bytes[2 * CHUNK];
    size_t samples = fread(bytes, 2, CHUNK, stdin);
    for (size_t i = 0; i < samples; i++) {
        int value = bytes[2 * i] | bytes[2 * i + 1] << 8;
        pcm[i] = (float)(value < 32768 ? value : value - 65536) / 32768;
    }
    return samples;
}

static int print_finals(mome_stream *stream)
{
    const mome_result *r;
    while ((r = mome_stream_next(stream)))
        printf("%6.2f - %6.2f  %s\n", r->start, r->end, r->text);
    fflush(stdout);
    return mome_stream_code(stream);
}

static int listen(mome_stream *stream)
{
    static float pcm[CHUNK];
    size_t samples;
    for (int chunk = 1; (samples = read_sound(pcm)) > 0; chunk++) {
        const mome_result *r;
        if (mome_stream_sound(stream, pcm, samples) || print_finals(stream))
            return mome_stream_code(stream);
        if (chunk % (RATE / CHUNK) == 0 && (r = mome_stream_partial(stream)))
            printf("%6.2f ~         %s\n", r->start, r->text);
        fflush(stdout);
    }
    int rc = mome_stream_finish(stream);
    return rc ? rc : print_finals(stream);
}

int main(int argc, char **argv)
{
    mome_model *model = NULL;
    mome_stream *stream = NULL;
    mome_stream_options options;
    mome_stream_options_init(&options);
    options.pictures = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL <sound.raw\n", argv[0]);
        return 2;
    }
    int rc = mome_model_open(&model, argv[1], NULL);
    rc = rc ? rc : mome_stream_open(&stream, model, &options);
    rc = rc ? rc : listen(stream);
    if (rc)
        fprintf(stderr, "%s\n", mome_error());
    mome_stream_close(stream);
    mome_model_close(model);
    return rc != 0;
}
