/*
 * What was said in a piece of media as a file, written while utterances come. Of each format:
 *
 *     txt   a line for each utterance
 *     srt   SubRip: number, "00:01:02,345 --> 00:01:04,000", one or two lines, an empty one
 *     vtt   WebVTT (W3C): the same with a point, behind a head
 *     tsv   start and end in milliseconds, text; as Whisper writes it
 *     lrc   "[01:02.34]text" for each cue
 *     json  {"file": .., "utterances": [{"start", "end" (seconds), "task", "fallback" (null: none),
 *           "audio_rate", "video_rate" (null: not used), "face" (null: nobody's), "text",
 *           "words": [{"word", "start", "end", "confidence"}, ..],
 *           "n_best": [{"text", "score"}, ..], "media_tokens", "encode_seconds",
 *           "decode_seconds", "expert_share" (of each layer's choices of experts, by expert; null:
 *           there are none to choose)}, ..]}, an utterance a line
 *
 * srt, vtt, tsv and lrc hold cues (text/subtitle.h), each of one speaker. As soon as a second face
 * (utterance.face) has spoken, vtt names the face in a voice span, "<v Face 2>", and srt, which has
 * none, where it changes, "Face 2:". Texts come from a model and may hold anything:
 * what is not UTF-8 becomes U+FFFD, control characters become spaces, and what a format takes for a
 * sign of its own is written so that it is none:
 *
 *     vtt   & < > as entities
 *     srt   has no escapes: "-->" becomes an arrow (U+2192); in what players take for a tag, "<b"
 *           or "{\", a word joiner (U+2060), which is not seen, stands behind the first character
 *     lrc   [ ] < > become ( )
 */
#ifndef DECODE_TRANSCRIPT_FILE_H
#define DECODE_TRANSCRIPT_FILE_H

#include "decode/utterance.h"
#include "text/subtitle.h"

#include <jansson.h>
#include <stdio.h>

enum transcript_format {
    TRANSCRIPT_TXT,
    TRANSCRIPT_SRT,
    TRANSCRIPT_VTT,
    TRANSCRIPT_TSV,
    TRANSCRIPT_LRC,
    TRANSCRIPT_JSON,
    TRANSCRIPT_FORMATS
};

const char *transcript_format_name(enum transcript_format format); /* "srt"; also a file's ending */
bool transcript_format_find(enum transcript_format *format, const char *name);

struct transcript_file {
    enum transcript_format format;
    FILE *to; /* borrowed; whoever closes it sees whether all could be written */
    struct subtitler subtitler;
    int64_t count; /* cues or utterances so far */
    int face;      /* the last that spoke; 0: none yet */
    bool several;  /* more than one has */
};

/* Writes the head. media: what the file is about; json says it. The struct stays where it is. */
void transcript_file_begin(struct transcript_file *f, enum transcript_format format, FILE *to,
                           const char *media);
int transcript_file_add(struct transcript_file *f, const struct utterance *u, struct error *err);
/* Writes what is left; a file is whole only behind this. */
int transcript_file_end(struct transcript_file *f, struct error *err);
/* An utterance as the json format has it; NULL: no memory. */
json_t *utterance_json(const struct utterance *u, struct error *err);
void transcript_file_release(struct transcript_file *f); /* also fine on a zeroed struct */

#endif
