import type { WirePayload } from '../../contracts/http/codec.js';

/** The payload codec of the workers, on payloads as the remote codec protocol carries them. */
export interface PayloadCipher {
  seal(payload: WirePayload): Promise<WirePayload>;
  /** `UNKNOWN_KEY`: sealed by a key that is not here. `TAMPERED`: what came is not what was sealed */
  open(payload: WirePayload): Promise<WirePayload | 'UNKNOWN_KEY' | 'TAMPERED'>;
}
