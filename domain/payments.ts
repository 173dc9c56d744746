export type PaymentProvider = 'simulator' | 'stripe';

/** In whose books a payment is. The names of payment methods tell, also for a purchase begun before the provider was changed. */
export const paymentProviderOf = (paymentMethod: string): PaymentProvider => (paymentMethod.startsWith('sim_') ? 'simulator' : 'stripe');

/** Nobody pays: the money of this method exists in the simulator's books only. */
export const isSimulated = (paymentMethod: string): boolean => paymentProviderOf(paymentMethod) === 'simulator';
