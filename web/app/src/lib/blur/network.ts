import {
  combine,
  convolve,
  depthwise,
  doubled,
  hardSwish,
  logistic,
  mean,
  pointwise,
  relu,
  type Size,
  transposed,
  windowOf,
} from './kernels';
import type { Model, Step } from './model';

/** A network that is ready to run: all memory is there, and nothing is allocated for a picture. */
export interface Network {
  /** Takes the colours of a picture, 0 to 1, and gives what comes out: the same memory each time. */
  run(picture: Float32Array): Float32Array;
}

/** A tensor while the network runs. */
interface Cell {
  size: Size;
  values: Float32Array;
}

/**
 * Makes a network of a model for pictures of a size, which may be another one than it was trained on: it sees windows
 * only. Fails where the model is not made of what it may be made of.
 */
export function buildNetwork(model: Model, height: number, width: number): Network {
  const cells = new Map<number, Cell>();
  const input = cellOf({ height, width, depth: model.tensors[model.input]?.shape[3] ?? 0 });
  cells.set(model.input, input);
  const runs = model.steps.map((step) => prepare(model, step, cells));
  const output = cells.get(model.output);
  if (output === undefined) throw new Error('nothing comes out');
  return {
    run(picture) {
      input.values.set(picture);
      for (const run of runs) run();
      return output.values;
    },
  };
}

/** One step with its memory. */
function prepare(model: Model, step: Step, cells: Map<number, Cell>): () => void {
  const { op, stride } = step;
  const [first, second = -1, third = -1] = step.inputs;
  const from = first === undefined ? undefined : cells.get(first);
  if (from === undefined) throw new Error('a step before what it needs');
  const { size, values } = from;
  const makes = (change: Partial<Size>): Cell => {
    const cell = cellOf({ ...size, ...change });
    cells.set(step.output, cell);
    return cell;
  };
  switch (op) {
    case 'conv':
    case 'depthwise': {
      const [, height = 0, width = 0] = model.tensors[second]?.shape ?? [];
      const [weights, bias] = [constant(model, second), constant(model, third)];
      const smaller = { height: Math.ceil(size.height / stride), width: Math.ceil(size.width / stride) };
      const to = makes({ ...smaller, depth: bias.length });
      if (op === 'conv' && height === 1 && width === 1 && stride === 1)
        return () => pointwise(values, weights, bias, to.values, size.height * size.width);
      if (!step.padded) throw new Error('a window that is not known');
      const window = windowOf(size, to.size, height, width, stride);
      if (op === 'depthwise') return () => depthwise(values, size, weights, bias, to.values, to.size, window);
      const cut = new Float32Array(height * width * size.depth);
      return () => convolve(values, size, weights, bias, to.values, to.size, window, cut);
    }
    case 'transposed': {
      const [weights, bias] = [constant(model, second), constant(model, third)];
      if (bias.length !== 1 || weights.length !== 4 * size.depth)
        throw new Error('a window that is not known');
      const to = makes({ height: 2 * size.height, width: 2 * size.width, depth: 1 });
      return () => transposed(values, size, weights, bias, to.values);
    }
    case 'add':
    case 'mul': {
      const other = cells.get(second);
      const to = makes({});
      // The second one is as large, or one pixel for all.
      if (other === undefined || ![to.values.length, size.depth].includes(other.values.length))
        throw new Error('sizes that do not fit');
      return () => combine(op === 'mul', values, other.values, to.values);
    }
    case 'mean': {
      const to = makes({ height: 1, width: 1 });
      return () => mean(values, to.values);
    }
    case 'resize': {
      const to = makes({ height: 2 * size.height, width: 2 * size.width });
      return () => doubled(values, size, to.values);
    }
    case 'relu':
    case 'hard-swish':
    case 'logistic': {
      const to = makes({});
      const apply = { relu, 'hard-swish': hardSwish, logistic }[op];
      return () => apply(values, to.values);
    }
  }
}

function constant(model: Model, tensor: number): Float32Array {
  const values = model.tensors[tensor]?.values;
  if (values == null) throw new Error('weights that are not there');
  return values;
}

function cellOf(size: Size): Cell {
  return { size, values: new Float32Array(size.height * size.width * size.depth) };
}
