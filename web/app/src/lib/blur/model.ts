/** Reads the network out of a TensorFlow Lite file: as far as the model of this folder goes, and nothing else. */

/** One step of a network. Tensors are named by their index. */
export interface Step {
  op: Op;
  inputs: readonly number[];
  output: number;
  /** Pixels that a window moves by, where there is one. */
  stride: number;
  /** The window goes over the edges, so that the picture stays as large. */
  padded: boolean;
}

export type Op =
  | 'conv'
  | 'depthwise'
  | 'transposed'
  | 'add'
  | 'mul'
  | 'mean'
  | 'resize'
  | 'relu'
  | 'hard-swish'
  | 'logistic';

/** A tensor in rows of pixels of channels; `values` are there where it is a constant. */
export interface Tensor {
  shape: readonly number[];
  values: Float32Array | null;
}

/** A network: its steps lead from the input to the output. */
export interface Model {
  tensors: readonly Tensor[];
  steps: readonly Step[];
  input: number;
  output: number;
}

/** By the operator codes of the format. */
const OPS: Readonly<Record<number, Op>> = {
  0: 'add',
  3: 'conv',
  4: 'depthwise',
  14: 'logistic',
  18: 'mul',
  19: 'relu',
  23: 'resize',
  40: 'mean',
  117: 'hard-swish',
};
const DEQUANTIZE = 6;
const CUSTOM = 32;
const TRANSPOSED = 'Convolution2DTransposeBias';
const FLOAT16 = 1;
const SAME_PADDING = 0;

/** Where fields are in the tables of the format. */
const MODEL = { codes: 1, graphs: 2, buffers: 4 } as const;
const GRAPH = { tensors: 0, inputs: 1, outputs: 2, steps: 3 } as const;
const TENSOR = { shape: 0, type: 1, buffer: 2 } as const;
const CODE = { early: 0, custom: 1, code: 3 } as const;
const STEP = { code: 0, inputs: 1, outputs: 2, options: 4 } as const;
const CONV = { padding: 0, strideX: 1, strideY: 2 } as const;

/** The network in a file. Fails on what it does not know: nothing is guessed. */
export function readModel(file: ArrayBuffer): Model {
  const root = new Table(new DataView(file), 0).root();
  const codes = root.tables(MODEL.codes).map(opOf);
  const buffers = root.tables(MODEL.buffers);
  const [graph] = root.tables(MODEL.graphs);
  if (graph === undefined) throw new Error('no graph');
  const tensors = graph.tables(GRAPH.tensors).map((tensor): Tensor => {
    const bytes = buffers[tensor.int(TENSOR.buffer)]?.bytes(0) ?? null;
    const isHalf = tensor.byte(TENSOR.type) === FLOAT16;
    const values = bytes === null ? null : isHalf ? fromHalf(bytes) : floats(bytes);
    return { shape: tensor.ints(TENSOR.shape), values };
  });
  const steps: Step[] = [];
  for (const step of graph.tables(GRAPH.steps)) {
    const code = codes[step.int(STEP.code)];
    const inputs = step.ints(STEP.inputs);
    const [output] = step.ints(STEP.outputs);
    if (code === undefined || output === undefined) throw new Error('an operator that is not known');
    if (code === DEQUANTIZE) {
      // Weights are kept in half the bytes.
      const [from] = inputs;
      const constant = from === undefined ? undefined : tensors[from];
      const known = tensors[output];
      if (constant?.values == null || known === undefined) throw new Error('weights that are not there');
      tensors[output] = { shape: known.shape, values: constant.values };
      continue;
    }
    steps.push({ op: code, inputs, output, ...windowOf(code, step) });
  }
  const [input] = graph.ints(GRAPH.inputs);
  const [output] = graph.ints(GRAPH.outputs);
  if (input === undefined || output === undefined) throw new Error('no input or output');
  return { tensors, steps, input, output };
}

function opOf(code: Table): Op | typeof DEQUANTIZE | undefined {
  const number = Math.max(code.byte(CODE.early), code.int(CODE.code));
  if (number === DEQUANTIZE) return DEQUANTIZE;
  if (number === CUSTOM) return code.text(CODE.custom) === TRANSPOSED ? 'transposed' : undefined;
  return OPS[number];
}

function windowOf(op: Op, step: Table): Pick<Step, 'stride' | 'padded'> {
  if (op === 'transposed') return { stride: 2, padded: false };
  if (op !== 'conv' && op !== 'depthwise') return { stride: 1, padded: false };
  const options = step.table(STEP.options);
  const stride = options?.int(CONV.strideX) ?? 0;
  if (options === null || stride < 1 || stride !== options.int(CONV.strideY))
    throw new Error('a window that is not known');
  return { stride, padded: options.byte(CONV.padding) === SAME_PADDING };
}

/** A table of the format (FlatBuffers): fields are found through a list of offsets. */
class Table {
  constructor(
    private readonly view: DataView,
    private readonly at: number,
  ) {}

  root(): Table {
    return new Table(this.view, this.follow(0));
  }

  /** 0 where it is not there. */
  int(field: number): number {
    const at = this.find(field);
    return at === 0 ? 0 : this.view.getInt32(at, true);
  }

  byte(field: number): number {
    const at = this.find(field);
    return at === 0 ? 0 : this.view.getInt8(at);
  }

  table(field: number): Table | null {
    const at = this.find(field);
    return at === 0 ? null : new Table(this.view, this.follow(at));
  }

  tables(field: number): Table[] {
    return this.items(field, 4).map((at) => new Table(this.view, this.follow(at)));
  }

  ints(field: number): number[] {
    return this.items(field, 4).map((at) => this.view.getInt32(at, true));
  }

  /** Null where there are none. */
  bytes(field: number): Uint8Array | null {
    const at = this.find(field);
    if (at === 0) return null;
    const start = this.follow(at);
    const length = this.view.getUint32(start, true);
    return length === 0 ? null : new Uint8Array(this.view.buffer, start + 4, length);
  }

  text(field: number): string {
    return new TextDecoder().decode(this.bytes(field) ?? new Uint8Array());
  }

  private items(field: number, size: number): number[] {
    const at = this.find(field);
    if (at === 0) return [];
    const start = this.follow(at);
    const length = this.view.getUint32(start, true);
    return Array.from({ length }, (_, index) => start + 4 + index * size);
  }

  private find(field: number): number {
    const list = this.at - this.view.getInt32(this.at, true);
    const entry = 4 + 2 * field;
    if (entry >= this.view.getUint16(list, true)) return 0;
    const offset = this.view.getUint16(list + entry, true);
    return offset === 0 ? 0 : this.at + offset;
  }

  private follow(at: number): number {
    return at + this.view.getUint32(at, true);
  }
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

/** IEEE 754 halves as floats. */
function fromHalf(bytes: Uint8Array): Float32Array {
  const halves = new Uint16Array(bytes.slice().buffer);
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}
