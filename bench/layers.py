"""The layers that are measured, by family: those that networks are known for, and other sizes of
the same families, so that nothing is tuned to a famous shape.

``NAMED[family]`` and ``OTHER[family]`` map a short label to a :class:`~problems.Problem`.
"""

from __future__ import annotations

from problems import Problem, parse

NAMED_TEXT = """
[3x3]               # stride 1, 64 channels and more, 28 pixels and more
resnet 64@56        n1c64h56w56 k64r3s3 p1
resnet 128@28       n1c128h28w28 k128r3s3 p1
vgg 64@224          n1c64h224w224 k64r3s3 p1
vgg 128@112         n1c128h112w112 k128r3s3 p1
vgg 256@56          n1c256h56w56 k256r3s3 p1
vgg 512@28          n1c512h28w28 k512r3s3 p1
[3x3 14px]
resnet 256@14       n1c256h14w14 k256r3s3 p1
vgg 512@14          n1c512h14w14 k512r3s3 p1
[3x3 7px]
resnet 512@7        n1c512h7w7 k512r3s3 p1
resnet 512@7 b16    n16c512h7w7 k512r3s3 p1
[1x1]
64-64@56            n1c64h56w56 k64r1s1
64-256@56           n1c64h56w56 k256r1s1
256-64@56           n1c256h56w56 k64r1s1
128-512@28          n1c128h28w28 k512r1s1
256-512@56 s2       n1c256h56w56 k512r1s1 s2
1024-256@14         n1c1024h14w14 k256r1s1
512-2048@7          n1c512h7w7 k2048r1s1
[strided]           # and dilated
resnet conv1 7x7    n1c3h224w224 k64r7s7 p3 s2
3x3 s2 128@56       n1c128h56w56 k128r3s3 p1 s2
3x3 d2 256@28       n1c256h28w28 k256r3s3 p2 d2
[first]
vgg 3-64@224        n1c3h224w224 k64r3s3 p1
[simplecnn b1]
conv1 3-5 5x5@32    n1c3h32w32 k5r5s5
conv2 5-10 5x5@14   n1c5h14w14 k10r5s5
[simplecnn b64]
conv1 3-5 5x5@32    n64c3h32w32 k5r5s5
conv2 5-10 5x5@14   n64c5h14w14 k10r5s5
cifar 16-16@32      n64c16h32w32 k16r3s3 p1
cifar 64-64@8       n64c64h8w8 k64r3s3 p1
[depthwise]
3x3 32@112          n1c32h112w112 k32r3s3 p1 g32
3x3 s2 144@56       n1c144h56w56 k144r3s3 p1 s2 g144
3x3 192@28          n1c192h28w28 k192r3s3 p1 g192
3x3 576@14          n1c576h14w14 k576r3s3 p1 g576
3x3 960@7           n1c960h7w7 k960r3s3 p1 g960
5x5 240@28          n1c240h28w28 k240r5s5 p2 g240
[grouped]
128 g32 @56         n1c128h56w56 k128r3s3 p1 g32
[pool]
max 2x2 64@112      max n1c64h112w112 r2s2
max 2x2 64@224      max n1c64h224w224 r2s2
max 3x3 s2 64@112   max n1c64h112w112 r3s3 s2 p1
max 2x2 simple b64  max n64c5h28w28 r2s2
max 2x2 512@14      max n1c512h14w14 r2s2
max 3x3 s1 256@28   max n1c256h28w28 r3s3 s1 p1
avg 2x2 64@112      avg n1c64h112w112 r2s2
avg 3x3 s1 256@28   avg n1c256h28w28 r3s3 s1 p1
avg global 2048@7   avg n1c2048h7w7 r7s7
"""

OTHER_TEXT = """
[3x3]
96@35               n1c96h35w35 k96r3s3 p1
80-112@41x29        n1c80h41w29 k112r3s3 p1
72-200@60 valid     n1c72h60w60 k200r3s3
64@56 b8            n8c64h56w56 k64r3s3 p1
32@75               n1c32h75w75 k32r3s3 p1
192@28 asymmetric   n1c192h28w28 k192r3s3 p0:1
256-19@38           n1c256h38w38 k19r3s3 p1
[3x3 14px]
160@17              n1c160h17w17 k160r3s3 p1
300@13              n1c300h13w13 k300r3s3 p1
256@14 b8           n8c256h14w14 k256r3s3 p1
[3x3 7px]
384@8               n1c384h8w8 k384r3s3 p1
512@5 b2            n2c512h5w5 k512r3s3 p1
448@9 b4            n4c448h9w9 k448r3s3 p1
[1x1]
3-32@200            n1c3h200w200 k32r1s1
48-200@37           n1c48h37w37 k200r1s1
333-111@19          n1c333h19w19 k111r1s1
256-64@56 b8        n8c256h56w56 k64r1s1
320-1280@7          n1c320h7w7 k1280r1s1
1280-1000@1         n1c1280h1w1 k1000r1s1
512-1000@1 b32      n32c512h1w1 k1000r1s1
128-256@27 s2       n1c128h27w27 k256r1s1 s2
[strided]
patch 16x16         n1c3h224w224 k768r16s16 s16
patch 4x4           n1c3h224w224 k96r4s4 s4
patch 2x2           n1c96h56w56 k192r2s2 s2
5x5 s2 48@49        n1c48h49w49 k64r5s5 p2 s2
7x7 48@32           n1c48h32w32 k48r7s7 p3
4x4 s2 64@64        n1c64h64w64 k128r4s4 p1 s2
3x3 s2x1 64@40x200  n1c64h40w200 k64r3s3 p1 s2x1
3x3 d4 96@33        n1c96h33w33 k96r3s3 p4 d4
1x7 128@17          n1c128h17w17 k128r1s7 p0x3
7x1 160@17          n1c160h17w17 k160r7s1 p3x0
2x2 100@50          n1c100h50w50 k100r2s2 p0:1
3x3 s2 64@56 b8     n8c64h56w56 k128r3s3 p1 s2
11x11 s4 3-96       n1c3h227w227 k96r11s11 s4
3x3 s3 40@91        n1c40h91w91 k56r3s3 s3
[first]
3-24@160 s2         n1c3h160w160 k24r3s3 p1 s2
1-32 3x3@28         n1c1h28w28 k32r3s3 p1
1-20 5x5@28 b32     n32c1h28w28 k20r5s5
4-48 3x3@100        n1c4h100w100 k48r3s3 p1
1-1 11x11@256       n1c1h256w256 k1r11s11 p5
1-1 31x31@256       n1c1h256w256 k1r31s31 p15
3-3 9x9@300         n1c3h300w300 k3r9s9 p4
[simplecnn b1]
3-7 3x3@30          n1c3h30w30 k7r3s3
6-16 5x5@14         n1c6h14w14 k16r5s5
8-12 3x3@17         n1c8h17w17 k12r3s3 p1
[simplecnn b64]
3-9 5x5@33 b100     n100c3h33w33 k9r5s5 p2
6-16 5x5@14 b128    n128c6h14w14 k16r5s5
3-32 3x3@32 b64     n64c3h32w32 k32r3s3 p1
32-48 3x3@15 b32    n32c32h15w15 k48r3s3 p1
[depthwise]
3x3 100@30          n1c100h30w30 k100r3s3 p1 g100
3x3 s2 75@75        n1c75h75w75 k75r3s3 p1 s2 g75
3x3 96@19 b8        n8c96h19w19 k96r3s3 p1 g96
5x5 s2 96@57        n1c96h57w57 k96r5s5 p2 s2 g96
7x7 96@56           n1c96h56w56 k96r7s7 p3 g96
7x7 768@7           n1c768h7w7 k768r7s7 p3 g768
31x31 64@32         n1c64h32w32 k64r31s31 p15 g64
3x3 d2 120@25       n1c120h25w25 k120r3s3 p2 d2 g120
multiplier 2 64@40  n1c64h40w40 k128r3s3 p1 g64
1x5 64@50           n1c64h50w50 k64r1s5 p0x2 g64
[grouped]
256 g32 @28         n1c256h28w28 k256r3s3 p1 g32
96 g2 5x5@27        n1c96h27w27 k256r5s5 p2 g2
120 g3 1x1@28       n1c120h28w28 k240r1s1 g3
64 g16 s2 @57       n1c64h57w57 k64r3s3 p1 s2 g16
512 g4 @14 b4       n4c512h14w14 k512r3s3 p1 g4
[1-d]
audio 64 k3 @1000   n1c64w1000 k64s3 p1
wavenet d64         n1c64w4000 k128s2 d64
speech 1-64 k10 s5  n1c1w16000 k64s10 s5
512 k3 s2 b4        n4c512w799 k512s3 s2
depthwise k31       n4c256w300 k256s31 p15 g256
40-128 k9 b8        n8c40w500 k128s9 p4
1-1 k1024           n1c1w48000 k1s1024
[3-d]
c3d 3-64            n1c3d16h56w56 k64t3r3s3 p1
64@8x28             n1c64d8h28w28 k64t3r3s3 p1
1x3x3 64            n1c64d8h28w28 k64t1r3s3 p0x1x1
3x1x1 64            n1c64d8h28w28 k64t3r1s1 p1x0x0
1x1x1 128           n1c128d4h14w14 k256t1r1s1
32 s2               n1c32d17h33w29 k48t3r3s3 p1 s2
depthwise 32        n1c32d8h28w28 k32t3r3s3 p1 g32
volume 1-16 5x5x5   n1c1d32h32w32 k16t5r5s5 p2
[pool]
max 3x3 s2 valid    max n1c48h109w95 r3s3 s2
max 3x3 s2 ceil     max n2c96h55w55 r3s3 s2 ceil
max 5x5 s1          max n1c128h20w20 r5s5 s1 p2
max 2x2 b32         max n32c33h15w15 r2s2
max 3x2             max n1c77h40w41 r3s2 s2x3
avg 3x3 s2 b8       avg n8c32h57w57 r3s3 s2 p1
avg 3x3 nopad       avg n1c192h35w35 r3s3 s1 p1 nopad
avg global 1280@8   avg n4c1280h8w8 r8s8
max 1-d             max n4c64w3001 s3 s2 p1
avg 1-d             avg n4c64w3001 s4
max 3-d             max n1c64d8h56w56 t2r2s2
avg 3-d             avg n1c32d8h28w28 t3r3s3 s2 p1
"""


def _read(text: str) -> dict[str, dict[str, Problem]]:
    """Families of ``label  problem`` lines; two spaces end the label."""
    families: dict[str, dict[str, Problem]] = {}
    for line in text.strip().splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            family = families.setdefault(line.strip("[]"), {})
        else:
            label, _, problem = line.partition("  ")
            family[label] = parse(problem)
    return families


NAMED = _read(NAMED_TEXT)
OTHER = _read(OTHER_TEXT)
