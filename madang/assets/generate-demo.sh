#!/bin/sh
# Draws the clip that the demo broadcast plays: dusk over a lake, hills that pass by, paper lanterns that rise, and a
# hand that goes round once in 12 s; with a slow melody. Everything is drawn here with ffmpeg's filters, nothing is
# taken from anywhere. Both streams are a loop without a seam: every motion comes back to its start after 300 frames.
#
# Needs: ffmpeg with libvpx-vp9 and libopus, and a sans-serif font for the title. Writes into the folder given, or
# beside this script:
#   demo.ivf   VP9 profile 0, 1280x720, 25 frames/s, 300 frames, a keyframe every 50, no invisible frames
#   demo.ogg   Opus, stereo, 600 packets of 20 ms
#   demo.jpg   poster
# The results are committed: builds do not run this script.
set -eu

out=$(cd "${1:-$(dirname "$0")}" && pwd)
font=${FONT:-/usr/share/fonts/truetype/dejavu/DejaVuSans-ExtraLight.ttf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

draw() { # name, size, geq expressions: one RGBA picture
    ffmpeg -v error -y -f lavfi -i "color=black:s=$2,format=rgba" -vf "geq=$3" -frames:v 1 "$1.png"
}

# Distance to the middle of the sun, and a smooth edge one pixel wide.
d="hypot(X-640,Y-300)"

# Sky: three colours over the height, and the glow of the sun.
mix() { # bottom third, middle, top: one channel
    echo "if(lt(Y,330),$1+($2-$1)*Y/330,$2+($3-$2)*(Y-330)/210)"
}
glow="exp(-$d/170)"
draw sky 1280x720 "r='min(255,$(mix 18 132 250)+95*$glow)':g='min(255,$(mix 16 62 150)+70*$glow)':\
b='min(255,$(mix 58 112 118)+38*$glow)':a=255"

# Stars: where a hash of a 6x6 cell is large; they fade towards the horizon.
hash="mod(abs(sin(floor(X/6)*12.9898+floor(Y/6)*78.233)*43758.5453),1)"
draw stars 1280x360 "r=255:g=245:b=235:\
a='if(gt($hash,0.991),max(0,1-Y/330)*max(0,1-hypot(mod(X,6)-3,mod(Y,6)-3)/1.7)*255*mod($hash*997,1),0)'"

# Sun with a soft lower half, ring and twelve marks.
angle="atan2(Y-300,X-640)"
mark="lt(abs(mod($angle+PI/12+2*PI,PI/6)-PI/12)*196,1.6)*between($d,190,203)"
draw sun 1280x720 "r=255:g='236-40*clip((Y-180)/240,0,1)':b='214-90*clip((Y-180)/240,0,1)':\
a='max(255*clip(150-$d,0,1),max(90*clip(1.6-abs($d-196),0,1),170*$mark))'"

# The hand: a bright dot with a halo.
draw hand 64x64 "r=255:g=244:b=224:a='max(255*clip(9-hypot(X-32,Y-32),0,1),150*exp(-hypot(X-32,Y-32)/9)-4)'"

# Hills: three ranges, each a sum of waves that repeats after as many pixels as it moves in 300 frames.
hill() { # name, height of the crest, wave, r g b, haze below
    draw "$1" 2560x360 "r=$4:g=$5:b=$6:a='255*clip(Y-($2)-($3),0,1)'"
}
w() { echo "$2*sin(2*PI*X/$1+$3)"; }
hill far 96 "$(w 600 26 0.4)+$(w 300 15 2.1)+$(w 200 11 4.0)+$(w 120 6 1.3)+$(w 50 2.5 0.2)" 124 62 106
hill middle 138 "$(w 900 34 2.0)+$(w 450 22 0.3)+$(w 300 9 5.1)+$(w 128.571428 6 2.6)+$(w 60 2 1.1)" 82 42 88
hill near 192 "$(w 1200 36 3.6)+$(w 600 17 1.0)+$(w 240 9 0.7)+$(w 100 4 2.2)+$(w 48 2 0.4)" 40 24 60

# A paper lantern, lit from below, with its glow; the others are smaller copies.
x="((X-60)/(20+4*(Y-30)/52))"
body="clip(1.06-pow(abs($x),4)-pow(abs((Y-58)/29),6),0,0.12)/0.12"
halo="95*exp(-pow(hypot(X-60,(Y-60)*0.85)/30,2))-3"
draw lantern 120x120 "r=255:g='if(gt($body,0.01),150+85*clip((Y-30)/56,0,1),168)':\
b='if(gt($body,0.01),70+110*clip((Y-30)/56,0,1)*clip((Y-30)/56,0,1),84)':a='max(0,max(250*$body,$halo))'"

# Scene. T=t/12 runs from 0 to 1: a lantern rises a whole number of screens, and sways a whole number of times.
T="(t/12)"
lamps=""
last=moved
split=""
number=0
while read -r size x start laps sway; do
    split="$split[l$number]"
    lamps="$lamps;[l$number]scale=$size:$size[s$number];[$last][s$number]overlay=\
x='$x+$sway*sin(2*PI*($T*2+$start))':y='540-mod($start+$T*$laps,1)*720':eval=frame:format=auto[o$number]"
    last=o$number
    number=$((number + 1))
done <<LAMPS
40 214 0.10 1 9
34 410 0.62 1 7
30 985 0.35 1 6
52 1066 0.80 1 12
46 120 0.47 1 10
28 690 0.05 1 6
64 842 0.55 1 14
76 300 0.90 1 16
LAMPS

ffmpeg -v error -y \
    -loop 1 -r 25 -i sky.png -loop 1 -r 25 -i stars.png -loop 1 -r 25 -i sun.png -loop 1 -r 25 -i hand.png \
    -loop 1 -r 25 -i far.png -loop 1 -r 25 -i middle.png -loop 1 -r 25 -i near.png -loop 1 -r 25 -i lantern.png \
    -filter_complex "
        [0]format=rgb24[sky];[sky][1]overlay=0:0[a];[a][2]overlay=0:0[b];
        [b][4]overlay=x='-mod(n*2,600)':y=290[c];
        [c][5]overlay=x='-mod(n*3,900)':y=300[d];
        [d][6]overlay=x='-mod(n*4,1200)':y=315[e];
        [e][3]overlay=x='640-32+196*sin(2*PI*$T)':y='300-32-196*cos(2*PI*$T)':eval=frame[moved];
        [7]split=$number$split$lamps;
        [$last]split[up][mirror];
        [mirror]crop=1280:330:0:210,vflip,scale=1280:180,gblur=sigma=7:sigmaV=2.2,
            colorchannelmixer=rr=0.60:gg=0.58:bb=0.74[lake];
        [up][lake]overlay=0:540,
        drawtext=fontfile=$font:text='Madang':fontsize=64:fontcolor=0x3a1f4d:x=(w-tw)/2:y=238,
        format=yuv420p[v]" \
    -map "[v]" -frames:v 300 -c:v ffv1 scene.mkv

# Encode. No frames from the future and no invisible ones: each frame is one picture, as in a live encoder.
vp9="-c:v libvpx-vp9 -profile:v 0 -b:v 500k -maxrate 700k -g 50 -keyint_min 50 -auto-alt-ref 0 -lag-in-frames 0 \
-deadline good -cpu-used 1 -row-mt 1 -threads 2 -passlogfile pass"
# shellcheck disable=SC2086
ffmpeg -v error -y -i scene.mkv $vp9 -pass 1 -f null -
# shellcheck disable=SC2086
ffmpeg -v error -y -i scene.mkv $vp9 -pass 2 "$out/demo.ivf"
ffmpeg -v error -y -ss 2.4 -i scene.mkv -frames:v 1 -vf scale=640:-2 -q:v 4 "$out/demo.jpg"

# Melody: plucked notes of a pentatonic scale over four chords of 3 s. Each note is a function of the time since it
# was struck, modulo 12 s, so the end runs into the beginning.
left=""
right=""
while read -r at hertz pan; do
    note="exp(-2.6*mod(t-$at+12,12))*(1-exp(-400*mod(t-$at+12,12)))*(sin(2*PI*$hertz*mod(t-$at+12,12))\
+0.35*exp(-4*mod(t-$at+12,12))*sin(4*PI*$hertz*mod(t-$at+12,12)))"
    left="$left+(1-$pan)*$note"
    right="$right+$pan*$note"
done <<NOTES
0.0 440.00 0.40
0.75 659.26 0.65
1.5 783.99 0.30
2.25 659.26 0.55
3.0 349.23 0.45
3.75 523.25 0.70
4.5 880.00 0.35
5.25 783.99 0.60
6.0 392.00 0.40
6.75 587.33 0.60
7.5 783.99 0.35
8.25 1046.50 0.65
9.0 329.63 0.45
9.75 493.88 0.65
10.5 659.26 0.30
11.25 587.33 0.55
NOTES
chord() { # start, three tones: swells in and out within 4 s, on the grid of 1/12 Hz
    p="mod(t-$1+12,12)"
    echo "lt($p,4)*pow(sin(PI*min($p,4)/4),2)*(sin(2*PI*$2*t)+sin(2*PI*$3*t)+0.8*sin(2*PI*$4*t))"
}
pad="$(chord 11.5 110 164.8333333333 261.6666666667)+$(chord 2.5 87.3333333333 174.6666666667 220)\
+$(chord 5.5 98 146.8333333333 246.9166666667)+$(chord 8.5 82.4166666667 164.8333333333 196)"
ffmpeg -v error -y -f lavfi -i "aevalsrc='0.11*(0$left)+0.035*($pad)|0.11*(0$right)+0.035*($pad)':s=48000:d=36" \
    -c:a pcm_s16le melody.wav
# Three rounds are encoded and the middle one kept: its first packet continues its last.
ffmpeg -v error -y -i melody.wav -c:a libopus -b:a 64k -vbr off -frame_duration 20 -application audio rounds.ogg
ffmpeg -v error -y -ss 12 -i rounds.ogg -frames:a 600 -c copy -map_metadata -1 "$out/demo.ogg"
ls -l "$out/demo.ivf" "$out/demo.ogg" "$out/demo.jpg"
