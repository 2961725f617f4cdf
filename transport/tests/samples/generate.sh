#!/bin/sh
# Makes testsrc.h264: 4 s of FFmpeg's test pattern, constrained baseline, access unit delimiters.
set -eu
cd "$(dirname "$0")"
exec ffmpeg -y -v error -f lavfi -i testsrc2=size=320x240:rate=30 -t 4 -an \
    -c:v libx264 -profile:v baseline -preset veryfast -tune zerolatency -b:v 160k -maxrate 160k \
    -bufsize 40k -g 30 -bf 0 -x264-params aud=1:repeat-headers=1:sliced-threads=0:slices=1 \
    -bsf:v h264_mp4toannexb -f h264 testsrc.h264
