/* The bytes of the voice detector's weights (safetensors), built into the program. */
#ifndef FEATURES_VOICE_MODEL_H
#define FEATURES_VOICE_MODEL_H

extern const unsigned char voice_model[], voice_model_end[];

#endif
