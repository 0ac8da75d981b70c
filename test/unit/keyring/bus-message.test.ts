import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeReply, encodeCall, messageLength } from '../../../src/crypto/secret-service.ts';

/** As dbus-daemon 1.14 answers Hello, with the signal NameAcquired behind it. */
const HELLO =
  '6c02010109000000010000003d00000006017300040000003a312e34000000000501750001000000080167000173000007017300140000006f72' +
  '672e667265656465736b746f702e4442757300000000040000003a312e3400';
const NAME_ACQUIRED =
  '6c04010109000000020000008d00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000002017300140000006f72' +
  '672e667265656465736b746f702e4442757300000000030173000c0000004e616d6541637175697265640000000006017300040000003a312e34' +
  '00000000080167000173000007017300140000006f72672e667265656465736b746f702e4442757300000000040000003a312e3400';
/** As gnome-keyring 42 answers SearchItems: one item that is open, none that is locked. */
const SEARCHED =
  '6c02010138000000120000003500000006017300040000003a312e34000000000801670004616f616f0000000000000005017500020000000701' +
  '7300040000003a312e3100000000300000002b0000002f6f72672f667265656465736b746f702f736563726574732f636f6c6c656374696f6e2f' +
  '6c6f67696e2f310000000000';

describe('messages of the bus', () => {
  it('are laid out as the specification says', () => {
    const call = {
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus',
      member: 'Hello',
    };
    const hex = encodeCall(call, 1).toString('hex');
    expect(hex.slice(0, 32)).toBe('6c01000100000000010000006d000000');
    expect(hex.length / 2).toBe(128);
    expect(encodeCall({ ...call, noAutoStart: true }, 1)[2]).toBe(2);
  });

  it('are read back', () => {
    const bytes = Buffer.from(HELLO + NAME_ACQUIRED, 'hex');
    const length = messageLength(bytes) ?? 0;
    expect(length).toBe(HELLO.length / 2);
    expect(decodeReply(bytes.subarray(0, length))).toEqual({
      replyTo: 1,
      errorName: undefined,
      isAnswer: true,
      body: [':1.4'],
    });
    expect(decodeReply(bytes.subarray(length))).toMatchObject({ isAnswer: false });
    const items = ['/org/freedesktop/secrets/collection/login/1'];
    expect(decodeReply(Buffer.from(SEARCHED, 'hex'))).toMatchObject({ replyTo: 2, body: [items, []] });
  });

  it('that are none are refused, however they are made', () => {
    const head = Buffer.from(HELLO, 'hex').subarray(0, 16);
    const refused = (bytes: Uint8Array) => {
      try {
        decodeReply(Buffer.concat([head, bytes]));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refused), { numRuns: 500 });
    expect(() => messageLength(Buffer.from(`6cffffff${'ff'.repeat(12)}`, 'hex'))).toThrow(RangeError);
    // An array of empty structures, which never gets anywhere.
    const endless = `6c02010110000000010000000900000008016700036128290000000000000000${'08000000'.padEnd(32, '0')}`;
    expect(() => decodeReply(Buffer.from(endless, 'hex'))).toThrow(/elements of no length/);
    expect(messageLength(Buffer.alloc(15))).toBeUndefined();
  });

  it('with one byte changed never hang and never fail otherwise', () => {
    const whole = Buffer.from(SEARCHED, 'hex');
    const changed = fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(changed, ([at, value]) => {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        try {
          decodeReply(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
