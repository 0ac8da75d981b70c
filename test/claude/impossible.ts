/** This machine cannot run the real client safely or at all; the message is what the one line says that is printed. */
export class Impossible extends Error {}
