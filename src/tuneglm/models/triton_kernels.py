"""The kernels that `kernels.py` launches, in Triton's dialect: tiles of rows × columns.

Types are rounded to where the torch code rounds to them: sums and functions are float32
within, and what torch would have written between two steps is cast to its type and back.
Offsets of rows are counted in 64 bits, for a batch's states may pass 2³¹ numbers.

This module needs `triton`, and is imported where a kernel is launched for the first time.
"""

import triton
import triton.language as tl


@triton.jit
def _product(one, other, type_one: tl.constexpr, type_other: tl.constexpr):
    """one · other in float32, rounded to the type that torch multiplies these types in."""
    product = one * other
    if type_one == type_other:
        product = product.to(type_one).to(tl.float32)
    return product


@triton.jit(do_not_specialize=["rows"])
def norm(
    states,
    weight,
    output,
    inverse,
    rows,
    stride,
    epsilon,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
):
    """w · x / √(mean x² + ε) of TILE rows a program; 1 / √… is kept as (rows,)."""
    row = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    column = tl.arange(0, BLOCK)
    is_column = column < WIDTH
    is_in = (row < rows)[:, None] & is_column[None, :]
    places = row[:, None] * stride + column[None, :]
    wide = tl.load(states + places, mask=is_in, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, axis=1) / WIDTH + epsilon)
    tl.store(inverse + row, scale, mask=row < rows)
    normed = (wide * scale[:, None]).to(states.dtype.element_ty).to(tl.float32)
    gain = tl.load(weight + column, mask=is_column, other=0.0).to(tl.float32)
    tl.store(output + row[:, None] * WIDTH + column[None, :], normed * gain[None, :], mask=is_in)


@triton.jit(do_not_specialize=["rows"])
def norm_back(
    gradient,
    states,
    weight,
    inverse,
    of_states,
    of_weight,
    rows,
    gradient_stride,
    stride,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    IS_TRAINED: tl.constexpr,
):
    """The gradient of states; of a trained weight a sum for each program, (programs, WIDTH)."""
    column = tl.arange(0, BLOCK)
    is_column = column < WIDTH
    gain = tl.load(weight + column, mask=is_column, other=0.0).to(tl.float32)[None, :]
    total = tl.zeros([TILE, BLOCK], dtype=tl.float32)
    start = tl.program_id(0) * TILE
    while start < rows:
        row = start + tl.arange(0, TILE).to(tl.int64)
        is_row = row < rows
        is_in = is_row[:, None] & is_column[None, :]
        scale = tl.load(inverse + row, mask=is_row, other=0.0)[:, None]
        places = row[:, None] * stride + column[None, :]
        wide = tl.load(states + places, mask=is_in, other=0.0).to(tl.float32)
        places = row[:, None] * gradient_stride + column[None, :]
        arrived = tl.load(gradient + places, mask=is_in, other=0.0).to(tl.float32)
        if IS_TRAINED:
            normed = (wide * scale).to(states.dtype.element_ty).to(tl.float32)
            total += _product(arrived, normed, gradient.dtype.element_ty, states.dtype.element_ty)
        scaled = _product(arrived, gain, gradient.dtype.element_ty, weight.dtype.element_ty)
        along = tl.sum(scaled * wide, axis=1)[:, None] * (scale * scale * scale) / -WIDTH
        places = row[:, None] * WIDTH + column[None, :]
        tl.store(of_states + places, scaled * scale + wide * along, mask=is_in)
        start += tl.num_programs(0) * TILE
    if IS_TRAINED:
        of_part = tl.program_id(0).to(tl.int64) * WIDTH + column
        tl.store(of_weight + of_part, tl.sum(total, axis=0), mask=is_column)


@triton.jit
def gated(
    gate, values, output, gate_stride, values_stride, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    """silu(gate) · values of BLOCK columns of a row a program."""
    row = (tl.program_id(0) // tl.cdiv(WIDTH, BLOCK)).to(tl.int64)
    column = tl.program_id(0) % tl.cdiv(WIDTH, BLOCK) * BLOCK + tl.arange(0, BLOCK)
    is_in = column < WIDTH
    one = tl.load(gate + row * gate_stride + column, mask=is_in, other=0.0).to(tl.float32)
    other = tl.load(values + row * values_stride + column, mask=is_in, other=0.0).to(tl.float32)
    active = (one / (1.0 + tl.exp(-one))).to(gate.dtype.element_ty).to(tl.float32)
    tl.store(output + row * WIDTH + column, active * other, mask=is_in)


@triton.jit
def gated_back(
    gradient,
    gate,
    values,
    of_gate,
    of_values,
    gradient_stride,
    gate_stride,
    values_stride,
    of_gate_stride,
    of_values_stride,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradients of gate and values."""
    kind: tl.constexpr = gate.dtype.element_ty
    row = (tl.program_id(0) // tl.cdiv(WIDTH, BLOCK)).to(tl.int64)
    column = tl.program_id(0) % tl.cdiv(WIDTH, BLOCK) * BLOCK + tl.arange(0, BLOCK)
    is_in = column < WIDTH
    arrived = tl.load(gradient + row * gradient_stride + column, mask=is_in, other=0.0)
    arrived = arrived.to(tl.float32)
    one = tl.load(gate + row * gate_stride + column, mask=is_in, other=0.0).to(tl.float32)
    other = tl.load(values + row * values_stride + column, mask=is_in, other=0.0).to(tl.float32)
    open_share = 1.0 / (1.0 + tl.exp(-one))
    active = (one / (1.0 + tl.exp(-one))).to(kind).to(tl.float32)
    tl.store(of_values + row * of_values_stride + column, active * arrived, mask=is_in)
    arrived = _product(arrived, other, kind, kind)
    slope = open_share * (1.0 + one * (1.0 - open_share))
    tl.store(of_gate + row * of_gate_stride + column, arrived * slope, mask=is_in)


@triton.jit
def _turn_heads(
    states,
    output,
    begin,
    stride,
    cos_first,
    cos_second,
    sin_first,
    sin_second,
    table: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    TURNED: tl.constexpr,
    APART: tl.constexpr,
    TILE: tl.constexpr,
    PAIRS: tl.constexpr,
    REST: tl.constexpr,
):
    """TILE heads of one token from `begin` on; `output` holds them one behind the other."""
    kind: tl.constexpr = states.dtype.element_ty
    head = begin + tl.arange(0, TILE)
    pair = tl.arange(0, PAIRS)
    is_in = (head < HEADS)[:, None] & (pair < TURNED // 2)[None, :]
    column = (pair // APART * (2 * APART) + pair % APART)[None, :]
    places = head[:, None] * stride + column
    first = tl.load(states + places, mask=is_in, other=0.0).to(tl.float32)
    second = tl.load(states + places + APART, mask=is_in, other=0.0).to(tl.float32)
    turned_first = _product(first, cos_first, kind, table) - _product(
        second, sin_first, kind, table
    )
    turned_second = _product(second, cos_second, kind, table) + _product(
        first, sin_second, kind, table
    )
    places = head[:, None] * WIDTH + column
    tl.store(output + places, turned_first, mask=is_in)
    tl.store(output + places + APART, turned_second, mask=is_in)
    if TURNED < WIDTH:
        column = TURNED + tl.arange(0, REST)[None, :]
        is_in = (head < HEADS)[:, None] & (column < WIDTH)
        kept = tl.load(states + head[:, None] * stride + column, mask=is_in, other=0.0)
        tl.store(output + head[:, None] * WIDTH + column, kept, mask=is_in)


@triton.jit(do_not_specialize=["length"])
def turn(
    query,
    key,
    cos,
    sin,
    to_query,
    to_key,
    length,
    query_batch,
    query_head,
    query_place,
    key_batch,
    key_head,
    key_place,
    table_batch,
    table_place,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
    TURNED: tl.constexpr,
    APART: tl.constexpr,
    IS_SHARED: tl.constexpr,
    IS_BACK: tl.constexpr,
    TILE: tl.constexpr,
    PAIRS: tl.constexpr,
    REST: tl.constexpr,
):
    """Turn pairs of numbers, APART from each other, of TILE heads of one token a program.

    IS_SHARED  both of a pair take the column of cos and sin that has the pair's number
    IS_BACK    turn them back: the transposed matrix, which is the gradient's way
    """
    token = tl.program_id(0).to(tl.int64)
    batch = token // length
    place = token % length
    pair = tl.arange(0, PAIRS)
    is_pair = pair < TURNED // 2
    row = batch * table_batch + place * table_place
    column = pair // APART * (2 * APART) + pair % APART
    if IS_SHARED:
        column = pair
    cos_first = tl.load(cos + row + column, mask=is_pair, other=0.0).to(tl.float32)[None, :]
    sin_first = tl.load(sin + row + column, mask=is_pair, other=0.0).to(tl.float32)[None, :]
    cos_second = cos_first
    sin_second = sin_first
    if not IS_SHARED:
        column += APART
        cos_second = tl.load(cos + row + column, mask=is_pair, other=0.0).to(tl.float32)[None, :]
        sin_second = tl.load(sin + row + column, mask=is_pair, other=0.0).to(tl.float32)[None, :]
    if IS_BACK:
        sin_of_first = sin_first
        sin_first = -sin_second
        sin_second = -sin_of_first
    part = tl.program_id(1)
    query_parts: tl.constexpr = (QUERIES + TILE - 1) // TILE
    if part < query_parts:
        _turn_heads(
            query + batch * query_batch + place * query_place,
            to_query + token * (QUERIES * WIDTH),
            part * TILE,
            query_head,
            cos_first,
            cos_second,
            sin_first,
            sin_second,
            cos.dtype.element_ty,
            QUERIES,
            WIDTH,
            TURNED,
            APART,
            TILE,
            PAIRS,
            REST,
        )
    else:
        _turn_heads(
            key + batch * key_batch + place * key_place,
            to_key + token * (KEYS * WIDTH),
            (part - query_parts) * TILE,
            key_head,
            cos_first,
            cos_second,
            sin_first,
            sin_second,
            cos.dtype.element_ty,
            KEYS,
            WIDTH,
            TURNED,
            APART,
            TILE,
            PAIRS,
            REST,
        )
