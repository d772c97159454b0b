// Documents for 040_canonical_json.pl: as many lines as asked for, each the
// JSON text of a document and, after a tab, what `canonicalize` makes of it,
// both in hex.  The same seed gives the same documents.
const canonicalize = require('canonicalize');

let seed = 20260924n;
function random64() {            // xorshift64*
  seed ^= seed >> 12n; seed ^= (seed << 25n) & 0xffffffffffffffffn; seed ^= seed >> 27n;
  return (seed * 2685821657736338717n) & 0xffffffffffffffffn;
}
const below = n => Number(random64() % BigInt(n));
const view = new DataView(new ArrayBuffer(8));
function doubleOf(bits) { view.setBigUint64(0, bits); return view.getFloat64(0); }

const hard = [0, -0, 1, -1, 0.1, 0.5, 1e21, 1e20, 123456789012345680000, 999999999999999900000, 1e-6, 1e-7,
  5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 9007199254740991, 9007199254740992, 9007199254740994,
  doubleOf(0x44b52d02c7e14af6n), doubleOf(0x44b52d02c7e14af5n), doubleOf(0x3eb0c6f7a0b5ed8dn), 4.35, 0.3, 1 / 3, 333333333.33333329];
for (let e = -1074; e <= 1023; e++) hard.push(Math.pow(2, e));
let nextHard = 0;

function number() {
  switch (below(6)) {
    case 0: return hard[nextHard++ % hard.length];
    case 1: return below(1000000);
    case 2: return (below(2000000) - 1000000) / 100;
    case 3: return Number((below(1000000)) + 'e' + (below(600) - 300));
    default: { let d; do d = doubleOf(random64()); while (!Number.isFinite(d)); return d; }
  }
}
const letters = ['a', 'b', 'z', 'A', '0', '_', '"', '\\', '/', '\b', '\t', '\n', '\f', '\r', '\u0001', '\u001f', '\u007f',
  '\u0080', 'ö', '€', '\u2028', '\ud7ff', '\ue000', '\ufb33', '\uffff', '\u{1f600}', '\u{10ffff}'];
function string() { let s = ''; for (let n = below(8); n > 0; n--) s += letters[below(letters.length)]; return s; }

// a number in one of several spellings that mean the same double
function spell(x) {
  if (Object.is(x, -0)) return '-0.0';
  switch (below(3)) {
    case 0: return x.toExponential(16).replace('e+', 'E+');
    case 1: return x.toPrecision(17).replace('e+', 'e');
    default: return JSON.stringify(x);
  }
}
function document(depth) {
  switch (below(depth > 4 ? 4 : 6)) {
    case 0: { const x = number(); return [spell(x), x]; }
    case 1: { const s = string(); return [JSON.stringify(s), s]; }
    case 2: { const x = number(); return [spell(x), x]; }
    case 3: { const v = [null, true, false][below(3)]; return [JSON.stringify(v), v]; }
    case 4: {
      const items = Array.from({ length: below(6) }, () => document(depth + 1));
      return ['[ ' + items.map(i => i[0]).join(' , ') + ']', items.map(i => i[1])];
    }
    default: {
      const object = {}, texts = [];
      for (let n = below(8); n > 0; n--) {
        const key = string(), [text, value] = document(depth + 1);
        if (key === '__proto__' || key in object) continue;
        object[key] = value;
        texts.push(JSON.stringify(key) + ': ' + text);
      }
      return ['{' + texts.join(',\n') + '}', object];
    }
  }
}
const hex = s => Buffer.from(s, 'utf8').toString('hex');
const count = Number(process.argv[2]);
let out = '';
function put(text, value) {
  out += hex(text) + '\t' + hex(canonicalize(value)) + '\n';
  if (out.length > 1 << 20) { process.stdout.write(out); out = ''; }
}
for (const x of hard) put(spell(x), x);
for (let i = 0; i < count; i++) { const [text, value] = document(0); put(text, value); }
process.stdout.write(out);
