// Documents for 040_canonical_json.pl: as many lines as asked for, each the
// JSON text of a document and, after a tab, what `canonicalize` makes of it,
// both in hex.  All that is hard about numbers comes before them.  The same
// seed gives the same documents.
const canonicalize = require('canonicalize');

const { below, anyDouble, hardDoubles, hardTexts } = require('./numbers');

const hard = hardDoubles();
let nextHard = 0;

function number() {
  switch (below(6)) {
    case 0: return hard[nextHard++ % hard.length];
    case 1: return below(1000000);
    case 2: return (below(2000000) - 1000000) / 100;
    case 3: return Number((below(1000000)) + 'e' + (below(600) - 300));
    default: return anyDouble();
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
for (const [text, x] of hardTexts()) put(text, x);
for (let i = 0; i < count; i++) { const [text, value] = document(0); put(text, value); }
process.stdout.write(out);
