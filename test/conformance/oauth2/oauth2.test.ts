import { describeProvider } from '../provider-suite.ts';
import { OAuth2Harness } from './oauth2-harness.ts';

describeProvider('oauth2 with a client secret', new OAuth2Harness('client_credentials'));
describeProvider('oauth2 for a person who has logged in', new OAuth2Harness('device_code'));
