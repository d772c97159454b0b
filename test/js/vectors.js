// Makes test/vectors/keys.json: canonical JSON by `canonicalize`, hash keys by
// node's own SHA-256; keys and classes of equal payloads as they are published.
//   npm ci && node vectors.js > ../vectors/keys.json
const canonicalize = require('canonicalize');
const { createHash } = require('crypto');
const { doubleOf } = require('./numbers');

// RFC 8785, appendix B, and what else is hard about numbers
const doubles = ['0000000000000000', '8000000000000000', '0000000000000001', '8000000000000001', '7fefffffffffffff', 'ffefffffffffffff',
  '4340000000000000', 'c340000000000000', '4430000000000000', '44b52d02c7e14af5', '44b52d02c7e14af6', '44b52d02c7e14af7',
  '444b1ae4d6e2ef4e', '444b1ae4d6e2ef4f', '444b1ae4d6e2ef50', '3eb0c6f7a0b5ed8c', '3eb0c6f7a0b5ed8d', '41b3de4355555553',
  '41b3de4355555554', '41b3de4355555555', '41b3de4355555556', '41b3de4355555557', 'becbf647612f3696', '43143ff3c1cb0959',
  '0010000000000000', '000fffffffffffff', '0060000000000000', '0000000000000002', '433fffffffffffff', '4340000000000001',
  '3ff0000000000001', '3fefffffffffffff', '3fb999999999999a', '3e7ad7f29abcaf48'];
const texts = ['null', 'true', 'false', '""', '[]', '{}', '-0', '1.0', '1e0', '100e-2', '1E3', '0.1', '-1.50', '1e21', '1e20', '1e-6', '1e-7',
  '9007199254740993', '1e-400', '-1e-400', '123456789012345678901234567890', '0.1000000000000000055511151231257827',
  '[1.0, 2e0, [], {}, [[]], null]', '{"b": 1, "a": 2}', '{"a": {"d": [], "c": {}}, "": null}',
  '"\\u0001\\u001f\\b\\t\\n\\f\\r\\"\\\\\\/\\u007f\\u0080"', '"\\u20ac$\\u000f\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/"', '"\\ud83d\\ude00 \\u00e9 \\u2028"',
  '{"\\uffff": 1, "\\ue000": 2, "\\ud83d\\ude00": 3, "\\ud7ff": 4, "\\udbff\\udfff": 5, "b": 6, "": 7, "aa": 8}',
  '{"\\u20ac": "Euro Sign", "\\r": "Carriage Return", "\\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One", "\\ud83d\\ude00": "Emoji: Grinning Face", "\\u0080": "Control", "\\u00f6": "Latin Small Letter O With Diaeresis"}',
  '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001], "literals": [null, true, false]}',
  '{"peach": "This sorting order", "p\\u00eache": "is wrong according to French", "p\\u00e9ch\\u00e9": "but canonicalization MUST", "sin": "ignore locale"}',
  '{"order": 7, "amount": 12.50, "lines": [{"sku": "A-1", "n": 2}, {"sku": "B-2", "n": 1}]}'];

const canonical = json => canonicalize(JSON.parse(json));
const hashKey = (json, operation) =>
  createHash('sha256').update(operation, 'utf8').update('\0').update(canonical(json), 'utf8').digest('hex');
const spelledDoubles = doubles.map(bits => doubleOf(BigInt('0x' + bits)).toExponential(16).replace('+', ''));

const operations = ['', 'process-order', 'ö:\u{1f600}'];
const hashes = ['{}', 'null', '{"id": 7}', '{"b": 1, "a": 2.0}', '{"a": 2, "b": 1e0}', '"é"', '9007199254740992', '9007199254740993',
  '[1e21, 1e-7, "\\u0001"]', texts[texts.length - 1]];

const part = (type, value) => ({ type, value });
const keys = [
  [[part('text', 'order'), part('int4', '7'), part('text', 'process')], 'order:7:process'],
  [[part('text', 'a'), part('text', 'b:c')], "a:'b:c'"],
  [[part('text', 'a:b'), part('text', 'c')], "'a:b':c"],
  [[part('text', null), part('text', '')], "null:''"],
  [[part('int4', '1'), part('text', '1')], "1:'1'"],
  [[part('bool', 'true'), part('text', 'true'), part('text', 'True')], "true:'true':True"],
  [[part('text', "it's"), part('text', 'a b'), part('text', 'ö'), part('text', 'me@x.org/a+b-c_d')], "'it''s':'a b':ö:me@x.org/a+b-c_d"],
  [[part('text', 'null'), part('text', 'NaN'), part('text', 'Infinity'), part('text', '-a')], "'null':'NaN':'Infinity':'-a'"],
  [[part('int2', '7'), part('int8', '7'), part('numeric', '7.00'), part('float4', '7'), part('float8', '7')], '7:7:7:7:7'],
  [[part('numeric', '0.50'), part('float4', '0.5'), part('float8', '0.5'), part('float8', '-0')], '0.5:0.5:0.5:0'],
  [[part('float8', '0.1'), part('float4', '0.1'), part('float8', '1e23')], '0.1:0.10000000149011612:1e+23'],
  [[part('numeric', '1e21'), part('numeric', '1e20'), part('numeric', '0.000001'), part('numeric', '0.0000001')],
    '1e+21:100000000000000000000:0.000001:1e-7'],
  [[part('numeric', '123456789012345678901234567890'), part('int8', '9223372036854775807'), part('int8', '9007199254740993')],
    '1.2345678901234567890123456789e+29:9223372036854775807:9007199254740993'],
  [[part('float8', 'NaN'), part('numeric', 'NaN'), part('float8', '-Infinity'), part('numeric', 'Infinity')], 'NaN:NaN:-Infinity:Infinity'],
  [[part('uuid', '00000000-0000-7000-8000-00000000000A'), part('bytea', '\\xDEADbeef')],
    "uuid'00000000-0000-7000-8000-00000000000a':bytea'deadbeef'"],
  [[part('date', '2026-01-31'), part('time', '12:00'), part('timestamp', '2026-01-31 12:00:00.5')],
    "date'2026-01-31':time'12:00:00':timestamp'2026-01-31T12:00:00.5'"],
  [[part('timestamptz', '2026-01-31 12:00:00+02'), part('timetz', '12:00+02'), part('interval', '1 day 2 hours')],
    "timestamptz'2026-01-31T10:00:00+00:00':timetz'12:00:00+02:00':interval'P1DT2H'"],
  [[part('jsonb', '{"b": 1, "a": [1.0, "it\'s"]}'), part('json', '{"b":1,"a":2}')], "json'{\"a\":[1,\"it''s\"],\"b\":1}':json'{\"a\":2,\"b\":1}'"],
  [[part('jsonb', '9007199254740993'), part('jsonb', '1e400'), part('jsonb', '"a"')], "json'9007199254740993':json'1e+400':json'\"a\"'"],
  [[part('int4[]', '{{1,2},{3,NULL}}'), part('text[]', '{x,"y,z"}'), part('int4[]', '{}')], "[[1,2],[3,null]]:[x,'y,z']:[]"],
];

// payloads of one class have one fingerprint, those of different classes have not
const classes = [
  ['0', '-0', '0.0', '0e10', '-0.00'], ['1', '1.0', '1e0', '10e-1', '0.1e1'], ['-1', '-1.0', '-10e-1'], ['"1"'], ['[1]', '[1.00]'], ['[[1]]'],
  ['9007199254740992', '9007199254740992.0', '9.007199254740992e15'], ['9007199254740993', '9007199254740993.0'],
  ['0.1', '1e-1', '0.100'], ['0.1000000000000000055511151231257827'], ['1e400', '10e399'], ['1e131071', '10e131070'], ['1e131070'],
  ['null'], ['"null"'], ['true'], ['false'], ['""'], ['[]'], ['{}'], ['[null]'], ['[[]]'], ['[{}]'], ['{"": null}'],
  ['{"a": 1, "b": 2}', '{"b": 2.0, "a": 1e0}', '{"b": 3, "a": 1, "b": 2}'], ['{"a": 2, "b": 1}'], ['{"a": {"b": 2}}'], ['[["a", 1], ["b", 2]]'],
  ['["a", "b"]', '["\\u0061", "b"]'], ['["b", "a"]'], ['["ab"]'], ['"é"', '"\\u00e9"'], ['"e\\u0301"'], ['"/"', '"\\/"'], ['"\\\\/"'], ['"A"'], ['"a"'], ['"a "'],
];

const list = items => '[\n    ' + items.map(i => JSON.stringify(i)).join(',\n    ') + '\n  ]';
const sections = {
  canonical_json: [...spelledDoubles, ...texts].map(json => ({ json, canonical: canonical(json) })),
  not_canonical_json: ['1e309', '-1e309', '1e400', '[1e131071]', '1.797693134862315808e308'],
  hash_key: hashes.flatMap(json => operations.map(operation => ({ json, operation, key: hashKey(json, operation) }))),
  key: keys.map(([parts, key]) => ({ parts, key })),
  equal_payloads: classes,
};
process.stdout.write('{\n' + Object.entries(sections).map(([name, items]) => `  ${JSON.stringify(name)}: ${list(items)}`).join(',\n') + '\n}\n');
