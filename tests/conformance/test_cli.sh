#!/bin/sh
# conformance_cli: right cases pass, wrong and malformed ones fail and say why.
#   test_cli.sh PROGRAM      exit status 77: no Vulkan device here
set -u
# The cases here are one each: a share of them is none.
unset VKATTN_CONFORMANCE_SHARE
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
one='\000\000\200\077' minus='\000\000\200\277' two='\000\000\000\100' nan='\000\000\300\177'

# expect STATUS TEXT ARGUMENT ...: the program's status and a text in its output must be these
expect() {
    status=$1 text=$2
    shift 2
    "$program" "$@" >"$work/log" 2>&1
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -q -e "$text" "$work/log"; then
        echo "FAIL: $* -> exit status $got, expected $status and the text '$text'; it wrote:"
        cat "$work/log"
        exit 1
    fi
    echo "ok: $text"
}

# A LayerNormalization: rows (-1, 1) and (1, -1) are their own norms.
norm() {
    mkdir -p "$work/$1"
    printf "$minus$one$one$minus" | tee "$work/$1/x.bin" >"$work/$1/y.bin"
    printf "$one$one" >"$work/$1/scale.bin"
    cat >"$work/$1/case.txt" <<END
op LayerNormalization
opset 17
attr epsilon float 1e-6
input 0 X f32 2 2 x.bin
input 1 Scale f32 2 scale.bin
output 0 Y f32 2 2 y.bin
END
}

# spoil NAME SED TEXT: a norm whose case.txt is edited must fail, and say so
spoil() {
    norm "$1"
    sed -i -e "$2" "$work/$1/case.txt"
    expect 1 "^FAIL .*$1: .*$3" "$work/$1"
    tail -n 1 "$work/log" | grep -q '^0 passed, 1 failed, 0 skipped$' || {
        echo "FAIL: the last line is not the summary"
        cat "$work/log"
        exit 1
    }
}

expect 2 'usage:'
expect 2 'usage:' --nonsense
norm set/norm
"$program" "$work/set" >"$work/log" 2>&1
if [ $? -eq 3 ]; then
    echo "SKIP: no Vulkan device, so nothing was run:"
    cat "$work/log"
    exit 77
fi
expect 0 '^1 passed, 0 failed, 0 skipped$' "$work/set"
expect 0 '^1 passed, 0 failed, 0 skipped$' "$work/set/norm"
expect 1 'there is no case' "$work"
expect 1 'there is no case' "$work/absent"

# One query, one key: the value is the output. With a past, keys come back behind those of the past.
attention=$work/set/attention
mkdir "$attention"
printf "$one" >"$attention/one.bin"
printf "$two" >"$attention/two.bin"
printf "$one$two" >"$attention/one_two.bin"
printf '\001' >"$attention/yes.bin"
cat >"$attention/case.txt" <<END
op Attention
opset 24
attr q_num_heads int 1
attr kv_num_heads int 1
input 0 Q f32 1 1 1 one.bin
input 1 K f32 1 1 1 two.bin
input 2 V f32 1 1 1 two.bin
output 0 Y f32 1 1 1 two.bin
END
expect 0 '^2 passed, 0 failed, 0 skipped$' "$work/set"
cp -r "$attention" "$work/set/past"
cat >>"$work/set/past/case.txt" <<END
input 4 past_key f32 1 1 1 1 one.bin
input 5 past_value f32 1 1 1 1 two.bin
output 1 present_key f32 1 1 2 1 one_two.bin
END
expect 0 '^3 passed, 0 failed, 0 skipped$' "$work/set"
cp -r "$work/set/past" "$work/present"
printf "$two$one" >"$work/present/one_two.bin"
expect 1 'present_key: 2 of 2 elements are wrong.*\[0, 0, 1, 0\]: got 2, want 1' "$work/present"

# A mask of fewer keys than there are masks the others, here all but that of the past.
cp -r "$work/set/past" "$work/set/mask"
echo 'input 3 attn_mask bool 1 1 yes.bin' >>"$work/set/mask/case.txt"
sed -i -e 's/past_value f32 1 1 1 1 two/past_value f32 1 1 1 1 one/' -e 's/^output 0 .*/output 0 Y f32 1 1 1 one.bin/' \
    "$work/set/mask/case.txt"
expect 0 '^4 passed, 0 failed, 0 skipped$' "$work/set"

# Wrong values.
norm value
printf "$minus$one$one$one" >"$work/value/y.bin"
expect 1 'Y: 1 of 4 elements are wrong.*\[1, 1\]: got -0.99999.*, want 1' "$work/value"
norm nan
printf "$minus$one$nan$minus" >"$work/nan/y.bin"
expect 1 'Y: 1 of 4 elements are wrong.*\[1, 0\]: got 0.99999.*, want nan' "$work/nan"
norm truncated
printf "$minus$one$one" >"$work/truncated/y.bin"
expect 1 'line 6: Y: the file has 12 bytes, its shape asks for 16' "$work/truncated"
norm long
printf "$one$one$one" >"$work/long/scale.bin"
expect 1 'line 5: Scale: the file has 12 bytes, its shape asks for 8' "$work/long"

# Malformed files.
spoil no_op '/^op /d' 'lacks an op'
spoil no_output '/^output/d' 'lacks an op'
spoil empty d 'lacks an op'
spoil two_ops 's/^opset.*/op Attention/' 'line 2: malformed or second op'
spoil opset 's/^opset.*/opset 17x/' 'line 2: malformed or second opset'
spoil opset_0 's/^opset.*/opset 0/' 'line 2: malformed or second opset'
spoil words 's/^opset /opset  /' 'line 2: empty words'
spoil gap 's/X f32 2 2 x/X f32  2 2 x/' 'line 4: empty words'
spoil word 's/^opset/opsets/' "unknown word 'opsets'"
spoil real 's/1e-6/1e-6x/' "'float 1e-6x' is no value"
spoil kind 's/float 1e-6/double 1e-6/' "'double 1e-6' is no value"
spoil other_type 's/float 1e-6/int 1/' 'epsilon is no float'
spoil index 's/^input 1/input 0/' 'repeated input'
spoil index_32 's/^input 1/input 32/' 'malformed or repeated input'
spoil dtype 's/Scale f32/Scale f33/' 'unknown type f33'
spoil dimension 's/f32 2 2 x/f32 -2 2 x/' '-2 is no dimension'
spoil huge 's/f32 2 2 x/f32 2147483647 2147483647 2147483647 x/' 'does not fit memory'
spoil rank 's/f32 2 2 x/f32 1 1 1 1 1 1 1 2 2 x/' 'malformed or repeated input'
spoil path 's/x.bin/..\/x.bin/' 'is no file name'
spoil file 's/x.bin/z.bin/' "can't be opened"
spoil shape 's/Y f32 2 2/Y f32 4/' 'Y is \[4\] where the other tensors ask for \[2, 2\]'
spoil input '$s/$/\ninput 5 Z f32 1 scale.bin/;s/\(Scale f32\) 2/\1 2/' 'shape asks for 4'
spoil unknown '$s/$/\ninput 5 Z f32 2 scale.bin/' 'has no input 5'

# What can't be done is not a failure, and is told.
skip() {
    norm "$1"
    sed -i -e "$2" "$work/$1/case.txt"
    expect 0 "^SKIP .*$1: $3" "$work/$1"
    grep -q '^0 passed, 0 failed, 1 skipped$' "$work/log" || exit 1
}
skip operation 's/LayerN/BatchN/' 'BatchNormalization: no such operation yet'
grep -q '^no such operation yet: BatchNormalization, 1 case$' "$work/log" || exit 1
skip attribute 's/epsilon float/epsilonn float/' 'attribute epsilonn'
skip old 's/opset 17/opset 16/' 'LayerNormalization came with opset 17'
skip f64 's/X f32 2 2 x/X f64 2 1 x/' 'X is f64'

# PyTorch's: the same norm with results in f64, as exact as the case says, and its gradient, which is all but 0 where that of
# the output is the output.
one64='\000\000\000\000\000\000\360\077' minus64='\000\000\000\000\000\000\360\277'
torch() {
    norm "$1"
    printf "$minus64$one64$one64$minus64" >"$work/$1/y.bin"
    printf "$one" >"$work/$1/one.bin"
    head -c 32 /dev/zero >"$work/$1/zero.bin"
    cat >"$work/$1/case.txt" <<END
op torch.layer_norm
attr eps float 1e-6
attr naive_y float 1e-7
attr naive_d_x float 1e-7
input 0 x f32 2 2 x.bin
input 1 weight f32 2 scale.bin
input 2 d_y f32 2 2 x.bin
output 0 y f64 2 2 y.bin
output 1 d_x f64 2 2 zero.bin
END
    sed -i -e "$2" "$work/$1/case.txt"
}
torch gradients ''
expect 0 '^1 passed, 0 failed, 0 skipped$' "$work/gradients"
torch wrong_gradient 's/zero.bin/y.bin/'
expect 1 'd_x: 4 of 4 elements are wrong' "$work/wrong_gradient"
torch scalar 's/d_y f32 2 2 x/d_y f32  one/'
expect 1 'd_y is \[\] where the other tensors ask for \[2, 2\]' "$work/scalar"
torch no_backward '$s/$/\noutput 2 d_epsilon f64 2 2 y.bin/'
expect 0 '^1 output skipped: no backward yet$' "$work/no_backward"
expect 0 '^1 passed, 0 failed, 0 skipped$' "$work/no_backward"
torch epsilon 's/1e-6/3e-5/' # off by 1.5e-5, of which naive_y allows 1.02e-5, and f32 alone 1e-3
expect 1 'y: 4 of 4 elements are wrong.*allowed 1.02e-05' "$work/epsilon"
torch inexact 's/1e-6/3e-5/;s/naive_y float 1e-7/naive_y float 1e-5/;/d_x/d'
expect 0 '^1 passed, 0 failed, 0 skipped$' "$work/inexact"
torch f32 's/1e-6/3e-3/;s/naive_y float 1e-7/naive_y float 1/' # off by 1.5e-3: f32 is held to 1.01e-3 whatever naive_y is
expect 1 'y: 4 of 4 elements are wrong.*allowed 0.00101' "$work/f32"
torch unknown_error 's/naive_y/naive_z/'
expect 1 'naive_z is no error of an output' "$work/unknown_error"
torch opset '1s/$/\nopset 17/'
expect 1 'has an opset, but is of PyTorch' "$work/opset"
torch more '$s/$/\noutput 2 mean f64 2 y.bin/;s/^output 0.*/output 0 y f64 2 2 y.bin/'
printf "$one64$one64" >"$work/more/mean.bin"
sed -i -e 's/mean f64 2 y/mean f64 2 mean/' "$work/more/case.txt"
expect 1 'torch.layer_norm has no output 2' "$work/more"
torch f16 's/x f32 2 2 x/x f16 2 2 half/;s/weight f32 2 scale/weight f16 2 half2/;/naive_y/d'
printf '\000\274\000\074\000\074\000\274' >"$work/f16/half.bin"
printf '\000\074\000\074' >"$work/f16/half2.bin"
expect 1 'y: the case does not say how exact it has to be' "$work/f16"
