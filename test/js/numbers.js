// Doubles by their bits, and all that is hard about them.
const view = new DataView(new ArrayBuffer(8));
function doubleOf(bits) { view.setBigUint64(0, bits); return view.getFloat64(0); }
function bitsOf(x) { view.setFloat64(0, x); return view.getBigUint64(0); }

let seed = 20260924n;
function random64() {            // xorshift64*
  seed ^= seed >> 12n; seed ^= (seed << 25n) & 0xffffffffffffffffn; seed ^= seed >> 27n;
  return (seed * 2685821657736338717n) & 0xffffffffffffffffn;
}
const below = n => Number(random64() % BigInt(n));
function anyDouble() { let d; do d = doubleOf(random64()); while (!Number.isFinite(d)); return d; }

function withNeighbours(x) {
  const bits = bitsOf(x);
  return [bits - 1n, bits, bits + 1n].map(doubleOf).filter(Number.isFinite);
}

function hardDoubles() {
  const hard = [0, -0, 1, -1, 0.1, 0.5, 123456789012345680000, 999999999999999900000, 4.35, 0.3, 1 / 3, 333333333.33333329];
  const special = [0x44b52d02c7e14af6n, 0x444b1ae4d6e2ef4fn, 0x3eb0c6f7a0b5ed8dn, 0x41b3de4355555555n, 0xbecbf647612f3696n,
    0x43143ff3c1cb0959n, 0x4430000000000000n, 0x7fefffffffffffffn, 0x0010000000000000n, 0x0000000000000002n];
  for (const bits of special) hard.push(...withNeighbours(doubleOf(bits)));
  for (let e = -1074; e <= 1023; e++) hard.push(...withNeighbours(Math.pow(2, e)));
  for (let e = -323; e <= 308; e++) hard.push(...withNeighbours(Number('1e' + e)));
  for (let e = -323; e <= 307; e++) hard.push(Number('5e' + e), Number('9.5e' + e));
  for (let i = -40; i <= 40; i++) hard.push(Math.pow(2, 53) + i, -(Math.pow(2, 53) + i));
  for (let i = 0; i < 300; i++) hard.push(doubleOf(random64() >> BigInt(12 + below(52))));      // subnormals
  return hard;
}

// the text in the middle of a positive double and the next one, and its neighbours: [text, value]
function halfway(x) {
  const bits = bitsOf(x);
  const exponent = Number(bits >> 52n), fraction = bits & 0xfffffffffffffn;
  const mantissa = exponent === 0 ? fraction : fraction | 0x10000000000000n;
  const power = Math.max(exponent, 1) - 1075 - 1;           // of two, of the doubled mantissa and one
  const odd = 2n * mantissa + 1n;
  const digits = power >= 0 ? odd << BigInt(power) : odd * 5n ** BigInt(-power);
  const ten = power >= 0 ? 0 : power;
  return [`${digits}e${ten}`, `${digits * 10n - 1n}e${ten - 1}`, `${digits * 10n + 1n}e${ten - 1}`]
    .map(text => [text, Number(text)]).filter(([, value]) => Number.isFinite(value));
}
function hardTexts() {
  const doubles = [0, 5e-324, 1e-323, 2.225073858507201e-308, 2.2250738585072014e-308, 1, 9007199254740991, 9007199254740992, 9007199254740994,
    1e22, 1e23, 9.999999999999999e22, 1.7976931348623155e308, 1.7976931348623157e308];
  for (let i = 0; i < 400; i++) doubles.push(Math.abs(anyDouble()));
  for (let e = -1074; e <= 1023; e += 7) doubles.push(Math.pow(2, e));
  return doubles.flatMap(halfway);
}
module.exports = { doubleOf, random64, below, anyDouble, hardDoubles, hardTexts };
