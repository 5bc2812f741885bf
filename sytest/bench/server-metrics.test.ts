import { parseHistogram, parseValue } from './server-metrics.ts';

const textWith = (counts: readonly number[], sum: number): string => `# HELP wait_seconds Help.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.001"} ${counts[0]}
wait_seconds_bucket{le="0.01"} ${counts[1]}
wait_seconds_bucket{le="+Inf"} ${counts[2]}
wait_seconds_sum ${sum}
wait_seconds_count ${counts[2]}
other_seconds_sum 7
`;

describe('single values of a server', () => {
  it('are found by their whole name', () => {
    const text = 'heap_bytes_total 9\nheap_bytes 7.5\n';
    expect(parseValue(text, 'heap_bytes')).toBe(7.5);
    expect(parseValue(text, 'heap')).toBeUndefined();
  });
});

describe('histograms of a server', () => {
  it('knows count, sum and the bound below which a share of the values lies', () => {
    const histogram = parseHistogram(textWith([90, 99, 100], 0.5), 'wait_seconds');
    expect(histogram.count).toBe(100);
    expect(histogram.sum).toBe(0.5);
    expect(histogram.upperBound(50)).toBe(0.001);
    expect(histogram.upperBound(90)).toBe(0.001);
    expect(histogram.upperBound(95)).toBe(0.01);
    expect(histogram.upperBound(100)).toBe(Number.POSITIVE_INFINITY);
  });

  it('tells what came since an earlier look', () => {
    const earlier = parseHistogram(textWith([90, 99, 100], 0.5), 'wait_seconds');
    const later = parseHistogram(textWith([90, 109, 110], 0.75), 'wait_seconds');
    const between = later.since(earlier);
    expect(between.count).toBe(10);
    expect(between.sum).toBe(0.25);
    expect(between.upperBound(5)).toBe(0.01);
  });

  it('does not make one up', () => {
    expect(() => parseHistogram(textWith([1, 1, 1], 1), 'absent_seconds')).toThrow('no metric');
  });
});
