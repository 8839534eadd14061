// The largest elements of a row that a workgroup shares, in an order that leaves no doubt: by value, and of equal values the
// lower column first. NaN is the largest value, and -0 is 0.
//
// Selection by radix: the row is read once for each digit of eight bits, and what the elements measure that have the digits
// found so far is added up by the next one. Sums are of integers of 64 bits: the order in which invocations add changes no
// bit. Digits of values come first, then those of columns, which only rows ask for whose last place is a tie.
//
// Expects GROUP_SIZE, p.cols and
//     struct Row { .. };                     a row
//     vec4 row_values(Row row, uint c);      columns 4 c .. 4 c + 3; those from p.cols on are anything
//     uvec2 measure(Row row, float value);   what an element counts for, as low and high word
// SPDX-License-Identifier: MIT

const uint DIGIT_BITS = 8u;
const uint BINS = 256u;
const uint COPIES = 4u; // of the sums, so that fewer invocations wait for each other
const uint BLOCK = 16u; // bins that are summed up

shared uint pool[2u * BINS * COPIES];
shared uvec2 bin_sums[BINS];
shared uvec2 block_sums[BINS / BLOCK];

// ---- order --------------------------------------------------------------------------------------------------------------

const uint LOWEST_KEY = 0x007fffffu;   // of -inf
const uint INFINITE_KEY = 0xff800000u; // of +inf
const uint NAN_KEY = 0xffffffffu;
const uint ANY = 0xffffffffu;

// Keys order like values.
uint key_of(float x) {
    uint bits = floatBitsToUint(x), magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return NAN_KEY;
    bool negative = bits > 0x80000000u;
    return negative ? ~bits : magnitude | 0x80000000u;
}

// What is kept: larger keys, and of equal ones the columns up to `last`.
struct Bound {
    uint key, last;
};

bool is_kept(Bound b, uint key, uint column) {
    return key > b.key || (key == b.key && column <= b.last);
}

Bound tighter(Bound a, Bound b) {
    return a.key > b.key || (a.key == b.key && a.last < b.last) ? a : b;
}

// ---- integers of 64 bits, low word first ----------------------------------------------------------------------------------

uvec2 add64(uvec2 a, uvec2 b) {
    uint low = a.x + b.x;
    return uvec2(low, a.y + b.y + (low < a.x ? 1u : 0u));
}

uvec2 subtract64(uvec2 a, uvec2 b) {
    return uvec2(a.x - b.x, a.y - b.y - (a.x < b.x ? 1u : 0u));
}

bool less64(uvec2 a, uvec2 b) {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// a fraction / 2^32, at least 1.
uvec2 portion64(uvec2 a, uint fraction) {
    uint high, low, carried, dropped;
    umulExtended(a.y, fraction, high, low);
    umulExtended(a.x, fraction, carried, dropped);
    uvec2 part = add64(uvec2(low, high), uvec2(carried, 0u));
    return part == uvec2(0u) ? uvec2(1u, 0u) : part;
}

// ---- sums of a workgroup ------------------------------------------------------------------------------------------------

void clear_sums(uint bins) {
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < 2u * bins * COPIES; i += GROUP_SIZE)
        pool[i] = 0u;
    barrier();
}

void tally(uint bin, uvec2 amount) {
    uint at = 2u * (bin * COPIES + gl_LocalInvocationIndex % COPIES);
    uint old = atomicAdd(pool[at], amount.x);
    uint high = amount.y + (old + amount.x < old ? 1u : 0u);
    if (high != 0u)
        atomicAdd(pool[at + 1u], high);
}

uvec2 tallied(uint bin) {
    uvec2 sum = uvec2(0u);
    for (uint copy = 0u; copy < COPIES; ++copy) {
        uint at = 2u * (bin * COPIES + copy);
        sum = add64(sum, uvec2(pool[at], pool[at + 1u]));
    }
    return sum;
}

// The sum of what all invocations have.
uvec2 group_total(uvec2 mine) {
    clear_sums(1u);
    tally(0u, mine);
    barrier();
    return tallied(0u);
}

// ---- selection ----------------------------------------------------------------------------------------------------------

// How much is wanted: so much, or a fraction of everything, in units of 2^-32.
struct Target {
    uvec2 amount;
    uint fraction; // 0: the amount
};

// The bin in which sums from the last bin down reach the target, what of it is wanted, and what it has.
struct Crossing {
    uint bin;
    uvec2 wanted, here;
};

Crossing find_crossing(Target target) {
    barrier();
    for (uint bin = gl_LocalInvocationIndex; bin < BINS; bin += GROUP_SIZE)
        bin_sums[bin] = tallied(bin);
    barrier();
    for (uint block = gl_LocalInvocationIndex; block < BINS / BLOCK; block += GROUP_SIZE) {
        uvec2 sum = uvec2(0u);
        for (uint i = 0u; i < BLOCK; ++i)
            sum = add64(sum, bin_sums[block * BLOCK + i]);
        block_sums[block] = sum;
    }
    barrier();
    uvec2 wanted = target.amount;
    if (target.fraction != 0u) {
        uvec2 total = uvec2(0u);
        for (uint block = 0u; block < BINS / BLOCK; ++block)
            total = add64(total, block_sums[block]);
        wanted = portion64(total, target.fraction);
    }
    uint block = BINS / BLOCK - 1u;
    for (; block > 0u && less64(block_sums[block], wanted); --block)
        wanted = subtract64(wanted, block_sums[block]);
    uint bin = block * BLOCK + BLOCK - 1u;
    for (; bin > block * BLOCK && less64(bin_sums[bin], wanted); --bin)
        wanted = subtract64(wanted, bin_sums[bin]);
    return Crossing(bin, wanted, bin_sums[bin]);
}

// Digits found so far.
struct Digits {
    uint found, mask, shift; // shift: of the next one
};

// Of the values, or of the columns that have value `key`, which are numbered down from `last`: lower ones have higher numbers.
Crossing next_digit(Row row, Bound from, Digits digits, bool columns, uint key, uint last, Target target) {
    clear_sums(BINS);
    for (uint c = gl_LocalInvocationIndex; 4u * c < p.cols; c += GROUP_SIZE) {
        vec4 x = row_values(row, c);
        [[unroll]] for (uint i = 0u; i < 4u; ++i) {
            uint column = 4u * c + i, k = key_of(x[i]), number = columns ? last - column : k;
            bool matches = column < p.cols && (number & digits.mask) == digits.found && (!columns || k == key);
            if (matches && is_kept(from, k, column))
                tally(number >> digits.shift & (BINS - 1u), measure(row, x[i]));
        }
    }
    return find_crossing(target);
}

// Are the digits enough: everything that has them is wanted, or as little as that may be more? `amount` was wanted at first.
bool is_enough(Crossing c, uvec2 amount, uint spare) {
    uvec2 together = add64(subtract64(amount, c.wanted), c.here);
    return c.wanted == c.here || (together.y == 0u && together.x <= spare);
}

// Of what `from` keeps, the largest that together measure the target; or more than that, if it is no more than `spare`
// altogether.
Bound select(Row row, Bound from, Target target, uint spare) {
    uint bits = p.cols <= 1u << 8 ? 8u : p.cols <= 1u << 16 ? 16u : 24u, last = (1u << bits) - 1u, key = 0u;
    uvec2 amount = target.amount;
    Digits digits = Digits(0u, 0u, 32u);
    bool columns = false;
    for (;;) {
        digits.shift -= DIGIT_BITS;
        Crossing c = next_digit(row, from, digits, columns, key, last, target);
        digits.found |= c.bin << digits.shift;
        digits.mask |= BINS - 1u << digits.shift;
        bool enough = is_enough(c, amount, spare);
        if (less64(c.here, c.wanted)) // there is less than that
            return from;
        if (enough || (columns && digits.shift == 0u))
            return tighter(from, columns ? Bound(key, last - digits.found) : Bound(digits.found, ANY));
        target = Target(c.wanted, 0u);
        if (digits.shift == 0u) {
            columns = true;
            key = digits.found;
            digits = Digits(0u, 0u, bits);
        }
    }
}
