"""isa.py: the listings of Mesa's compilers (AMD's ACO, NVIDIA's NAK, Intel's brw, Adreno's ir3) as blocks of classified instructions.

Classes: matrix, fma (one that multiplies and adds, dot products too), convert, exp (and other transcendental functions), move,
integer, alu (the rest of what lanes compute), lds (shared memory, and what lanes exchange through it), global, scalar, wait,
barrier, branch.
SPDX-License-Identifier: MIT
"""
import re

CLASSES = ["matrix", "fma", "convert", "exp", "move", "integer", "alu", "lds", "global", "scalar", "wait", "barrier", "branch"]


class Instruction:
    """madds: multiply-adds of a lane, of a subgroup for matrices. size: bytes of a lane. count: an instruction may repeat.
    lanes: that it computes, where a subgroup may take several instructions for the same (Intel)."""

    def __init__(self, kind, madds=0, size=0, count=1, store=False, lanes=0):
        self.kind, self.madds, self.size, self.count, self.store, self.lanes = kind, madds, size, count, store, lanes


class Block:
    def __init__(self):
        self.code = []
        self.next = []  # of blocks, by their numbers
        self.final = False  # a jump is always taken at its end (Intel)


def first_match(table, name):
    return next((kind for pattern, kind in table if re.match(pattern, name)), "alu")


# ---- AMD -----------------------------------------------------------------------------------------------------------

AMD_KINDS = [
    (r"v_wmma|v_swmmac|v_mfma", "matrix"),
    (r"v_(dual_)?(dot2|dot4|fma|pk_fma|mad_f|mac_f|mad_mix)", "fma"),
    (r"v_cvt", "convert"),
    (r"v_(s_)?(exp|log|rcp|rsq|sqrt|sin|cos)", "exp"),
    (r"v_(dual_)?mov|v_read|v_writelane|v_swap|v_permlane|v_accvgpr", "move"),
    (r"v_.*_(u|i|b)(16|24|32|64)|v_perm|v_pack", "integer"),
    (r"v_", "alu"),
    (r"ds_", "lds"),
    (r"buffer_|global_|flat_|scratch_|image_", "global"),
    (r"s_wait|s_delay|s_nop|s_sleep|s_clause|s_inst_prefetch|s_set_inst", "wait"),
    (r"s_barrier", "barrier"),
    (r"s_branch|s_cbranch", "branch"),
    (r"s_", "scalar"),
]
AMD_MADDS = [(r"v_dot4", 4), (r"v_dot2|v_dual_dot2|v_pk_fma", 2)]


def amd_size(name):
    """Bytes; what is narrower than a word takes as long as one."""
    sizes = [int(n) // 8 for n in re.findall(r"_[a-z]?(8|16|32|64|96|128)(?!\d)", name)]
    dwords = re.search(r"dwordx(\d)", name)
    size = 4 * int(dwords.group(1)) if dwords else 4 if "dword" in name else max(sizes[-1:] + [4])
    return size * 2 if "2addr" in name or "read2" in name or "write2" in name else size


def amd_instruction(name, operands):
    kind = first_match(AMD_KINDS, name)
    madds = 0
    if kind == "matrix":
        m, n, k = map(int, re.search(r"_(\d+)x(\d+)x(\d+)", name).groups())
        madds = m * n * k
    elif kind == "fma":
        madds = next((count for pattern, count in AMD_MADDS if re.match(pattern, name)), 1)
        madds += " v_dual_fma" in operands or " v_dual_dot2" in operands
    elif name.startswith("v_dual_") and re.search(r"v_dual_(fma|dot2)", operands):
        kind, madds = "fma", 1
    size = amd_size(name) if kind in ("lds", "global") else 0
    return Instruction(kind, madds, size, store=bool(re.search(r"_(store|write)", name)))


def amd_blocks(text):
    """Blocks have labels; one without a jump at its end goes on in the next."""
    blocks, labels, jumps = [Block()], {}, []
    for line in text.splitlines():
        label = re.match(r"(BB\d+):", line)
        if label:
            blocks.append(Block())
            labels[label.group(1)] = len(blocks) - 1
            continue
        line = line.split(";")[0].strip()
        if not re.match(r"[a-z]+_", line):
            continue
        name, _, operands = line.partition(" ")
        target = re.search(r"BB\d+", operands)
        if name.startswith(("s_branch", "s_cbranch")) and target:
            jumps.append((len(blocks) - 1, target.group(0), name == "s_branch"))
        blocks[-1].code.append(amd_instruction(name, operands))
        if name == "s_endpgm" or name.startswith(("s_branch", "s_cbranch")):
            blocks.append(Block())
            jumps.append((len(blocks) - 2, None, name in ("s_endpgm", "s_branch")))
    ends = {at for at, target, final in jumps if target is None and final}
    for at in range(len(blocks) - 1):
        if at not in ends:
            blocks[at].next.append(at + 1)
    for at, target, _ in jumps:
        if target:
            blocks[at].next.append(labels[target])
    return blocks


# ---- NVIDIA --------------------------------------------------------------------------------------------------------

NVIDIA_KINDS = [
    (r"hmma|imma|qmma", "matrix"),
    (r"ffma|hfma2|dfma|idp", "fma"),
    (r"f2f|f2i|i2f|i2i|frnd", "convert"),
    (r"mufu", "exp"),
    (r"mov(\.|$)|r2ur|cs2r|s2r|p2r|r2p", "move"),
    (r"iadd|imad|imul|lop|plop|shf|shl|shr|lea|isetp|imnmx|prmt|popc|flo|bmsk|iabs|sgxt|brev", "integer"),
    (r"ld\.shared|st\.shared|ldsm|atom.*shared|shfl|movm", "lds"),
    (r"ld\.|st\.|atom|red", "global"),
    (r"ldc", "scalar"),
    (r"nop|depbar|warpsync|yield|nanosleep", "wait"),
    (r"bar\.|membar", "barrier"),
    (r"bra|bssy|bsync|bclear|bmov|brk|break|exit|jmp|ret|call", "branch"),
]


def nvidia_size(name):
    if name.startswith("ldsm"):  # a matrix of 8 x 8 halves is a word of every lane
        return 4 * int(re.search(r"\.x(\d)", name).group(1)) if ".x" in name else 4
    width = re.search(r"\.b(\d+)", name)
    return max(4, int(width.group(1)) // 8) if width else 4


def nvidia_instruction(line):
    line = re.sub(r"^@!?u?p\d+\s+", "", line)
    left, assigned, right = line.partition(" = ")
    words = (right if assigned else left).split()
    name = words[0]
    target = left.split()[0] if assigned else ""
    kind = first_match(NVIDIA_KINDS, name)
    if kind in ("integer", "move", "alu") and re.match(r"u[rp]", target):
        kind = "scalar"
    madds = 0
    if kind == "matrix":
        m, n, k = map(int, re.search(r"m(\d+)n(\d+)k(\d+)", name).groups())
        madds = m * n * k
    elif kind == "fma":
        madds = 2 if name.startswith("hfma2") else 1
    size = nvidia_size(name) if kind in ("lds", "global") else 0
    return Instruction(kind, madds, size, store=name.startswith("st."))


def nvidia_blocks(text):
    blocks = []
    for line in text.splitlines():
        line = line.split("//")[0].strip()
        if re.match(r"block(\.u)? \d+ ", line):
            blocks.append(Block())
        elif line.startswith("} -> ["):
            blocks[-1].next = [int(n) for n in re.findall(r"\d+", line)]
        elif line and blocks:
            blocks[-1].code.append(nvidia_instruction(line))
    return blocks


# ---- Intel ---------------------------------------------------------------------------------------------------------

INTEL_KINDS = [
    (r"dpas", "matrix"),
    (r"mad|dp4a", "fma"),
    (r"math", "exp"),
    (r"mov", "move"),
    (r"sync bar", "barrier"),
    (r"sync", "wait"),
    (r"if|else|endif|while|break|cont|halt|jmpi|brd|brc|call|ret", "branch"),
]


def intel_message(text, lanes, width):
    """Class, and bytes of a lane, of what is sent to shared memory (slm), to global memory (ugm) or for a barrier."""
    if "gateway" in text:
        return "barrier", 0
    if "fence" in text:
        return "wait", 0
    element = re.search(r", d(\d+)(?:u32)?, V(\d+)(, transpose)?", text)
    size = int(element.group(1)) // 8 * int(element.group(2)) if element else 4
    size = size / width if element and element.group(3) else size * lanes / width  # transposed: for one lane, of all
    return "lds" if "slm" in text else "global", size


def intel_kind(name, text):
    kind, halves, floats = first_match(INTEL_KINDS, name), ">HF" in text, re.search(r">(H|B|D)?F ", text)
    if kind == "move":
        return "convert" if halves or floats and re.search(r">U?[DWBQ] ", text) else kind
    return "integer" if kind in ("fma", "alu") and not floats else kind


def intel_instruction(name, text, lanes, width):
    kind, madds, size = intel_kind(name, text), 0, 0
    if name.startswith("send"):
        kind, size = intel_message(text, lanes, width)
    elif kind == "matrix":
        depth, rows = map(int, re.search(r"(\d+)x(\d+)", name).groups())
        madds = rows * lanes * 2 * depth
    elif kind == "fma":
        madds = lanes / width
    return Instruction(kind, madds, size, store="store" in text, lanes=lanes)


def intel_blocks(text):
    """Branches name labels, which stand before the instruction that channels meet at; a loop is left behind its `while`."""
    lines = re.sub(r"\n +(?=\S+ MsgDesc)", " ", text).splitlines()
    sends = [int(n) for n in re.findall(r"^(?:\([^)]*\) )?send\((\d+)\)", text, re.MULTILINE)]
    width = max(sends, default=8) * (2 if max(sends, default=8) == 16 and re.search(r"send\(16\).* 2H ", text) else 1)
    blocks, labels, jumps = [Block()], {}, []
    for line in lines:
        label = re.match(r"(LABEL\d+):", line)
        if label:
            blocks.append(Block())
            labels[label.group(1)] = len(blocks) - 1
            continue
        match = re.match(r"(\([^)]*\) )?((?:sync |math )?[a-z][\w.]*?)(?:\.f\d\.\d)?\((\d+)\)", line)
        if not match:
            continue
        name = match.group(2)
        blocks[-1].code.append(intel_instruction(name, line, int(match.group(3)), width))
        target = re.search(r"UIP: +(LABEL\d+)" if name == "break" else r"JIP: +(LABEL\d+)", line)
        if target and name != "endif":
            jumps.append((len(blocks) - 1, target.group(1), name))
            blocks.append(Block())
            if name == "else" or name == "while" and not match.group(1):
                blocks[-2].final = True
    behind = {at: at + 1 for at, _, name in jumps if name == "while"}
    for at, block in enumerate(blocks[:-1]):
        if not block.final:
            block.next.append(at + 1)
    for at, target, name in jumps:
        to = labels[target]
        if name == "break":
            while to not in behind:
                to += 1
            to = behind[to]
        blocks[at].next.append(to)
    return blocks


# ---- Adreno --------------------------------------------------------------------------------------------------------

ADRENO_KINDS = [
    (r"mad\.f|madsh\.f", "fma"),
    (r"cov", "convert"),
    (r"exp2|log2|rcp|rsq|sqrt|sin|cos|hexp2|hlog2|hrsq", "exp"),
    (r"mov|swz|gat|sct|mova", "move"),
    (r"madsh|mad\.|add\.[us]|sub\.[us]|mul\.[us]|mull|and|or|xor|not|shl|shr|ashr|cmps\.[us]|min\.[us]|max\.[us]|bfrev|shb|shr[gm]|shlm|andg|absneg\.s",
     "integer"),
    (r"ldl|stl|ldlw|stlw", "lds"),
    (r"ldg|stg|ldib|stib|isam|sam|ldc|stc|ldp|stp|atomic", "global"),
    (r"nop|sleep", "wait"),
    (r"bar|fence", "barrier"),
    (r"br|jump|end|shps|shpe|getone|getlast|predt|predf|prede|ret|call|kill", "branch"),
]


def adreno_instruction(line):
    repeat = re.search(r"\(rpt(\d)\)", line)
    line = re.sub(r"^(\(\w+\)\s*)+", "", line)
    name = line.split()[0]
    kind = first_match(ADRENO_KINDS, name)
    size = 0
    if kind in ("lds", "global"):
        elements = re.search(r", (\d)$", line.strip())
        size = 4 * int(elements.group(1)) if elements else 4
    return Instruction(kind, int(kind == "fma"), size, 1 + int(repeat.group(1)) if repeat else 1, name.startswith("st"))


def adreno_blocks(text):
    blocks, labels, jumps = [Block()], {}, []
    for line in text.splitlines():
        line = line.strip()
        label = re.match(r"(l\d+):$", line)
        if label:
            blocks.append(Block())
            labels[label.group(1)] = len(blocks) - 1
            continue
        if not line or line[0] in ";@" or not re.match(r"[(a-z]", line):
            continue
        blocks[-1].code.append(adreno_instruction(line))
        name = re.sub(r"^(\(\w+\)\s*)+", "", line).split()[0]
        target = re.search(r"#(l\d+)", line)
        if target or name == "end":
            jumps.append((len(blocks) - 1, target.group(1) if target else None, name in ("jump", "end")))
            blocks.append(Block())
    final = {at for at, _, last in jumps if last}
    for at in range(len(blocks) - 1):
        if at not in final:
            blocks[at].next.append(at + 1)
    for at, target, _ in jumps:
        if target:
            blocks[at].next.append(labels[target])
    return blocks


# What a file of vkattn-offline --code has of each compiler: the name of its last stage, and what reads it.
LISTINGS = {"Assembly": amd_blocks, "NAK assembly": nvidia_blocks, "GEN Assembly": intel_blocks, "IR3 Assembly": adreno_blocks}


def read(path):
    """The specialization constants and the blocks of a file of vkattn-offline --code; no blocks: a compiler unknown here."""
    with open(path, encoding="utf-8", errors="replace") as file:
        parts = re.split(r"^representation: (.*)$", file.read(), flags=re.MULTILINE)
    spec = {int(i): int(value) for i, value in re.findall(r"^spec (\d+): (\d+)$", parts[0], re.MULTILINE)}
    listings = dict(zip(parts[1::2], parts[2::2]))
    for name, blocks_of in LISTINGS.items():
        if name in listings:
            return spec, blocks_of(listings[name])
    return spec, []
