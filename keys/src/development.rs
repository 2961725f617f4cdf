//! Keys that everybody knows: those of Substrate's development phrase, `subkey inspect //Alice` and the like, and those of our own
//! development chain (`docs/devchain.md`).
//! Known by their accounts, so that no seed stands here. A node refuses them on every chain but a development
//! chain's own genesis.

use session::rental::AccountId;

use crate::hex::to_hex;

/// The name of a well-known key; none if the account is of another.
pub fn name_of(account: &AccountId) -> Option<&'static str> {
    let digits = to_hex(&account.0);
    ACCOUNTS.iter().find(|(_, known)| *known == digits).map(|(name, _)| *name)
}

/// Of sr25519, ed25519 and ecdsa in turn; `make.mjs` beside the tests' vectors computes such accounts.
const ACCOUNTS: [(&str, &str); 54] = [
    ("the phrase itself", "46ebddef8cd9bb167dc30878d7113b7e168e6f0646beffd77d69d39bad76b47a"),
    ("//Alice", "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"),
    ("//Alice//stash", "be5ddb1579b72e84524fc29e78609e3caf42e85aa118ebfe0b0ad404b5bdd25f"),
    ("//Bob", "8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48"),
    ("//Bob//stash", "fe65717dad0447d715f660a0a58411de509b42e6efb8375f562f58a554d5860e"),
    ("//Charlie", "90b5ab205c6974c9ea841be688864633dc9ca8a357843eeacf2314649965fe22"),
    ("//Charlie//stash", "1e07379407fecc4b89eb7dbd287c2c781cfb1907a96947a3eb18e4f8e7198625"),
    ("//Dave", "306721211d5404bd9da88e0204360a1a9ab8b87c66c1bc2fcdd37f3c2222cc20"),
    ("//Dave//stash", "e860f1b1c7227f7c22602f53f15af80747814dffd839719731ee3bba6edc126c"),
    ("//Eve", "e659a7a1628cdd93febc04a4e0646ea20e9f5f0ce097d9a05290d4a9e054df4e"),
    ("//Eve//stash", "8ac59e11963af19174d0b94d5d78041c233f55d2e19324665bafdfb62925af2d"),
    ("//Ferdie", "1cbd2d43530a44705ad088af313e18f80b53ef16b36177cd4b77b846f2a5f07c"),
    ("//Ferdie//stash", "101191192fc877c24d725b337120fa3edc63d227bbc92705db1e2cb65f56981a"),
    ("//One", "ac859f8a216eeb1b320b4c76d118da3d7407fa523484d0a980126d3b4d0d220a"),
    ("//One//stash", "7eb5180f1c619ea25be3c42de81c4c368347c62024f0eaa2b3334f79d7c46f18"),
    ("//Two", "1254f7017f0b8347ce7ab14f96d818802e7e9e0c0d1b7c9acb3c726b080e7a03"),
    ("//Two//stash", "2a34db436b450c489d16c1912495099a1491c3143b732b8715d0a619cd52a954"),
    ("//Machine", "c89d0dcc6a91f140fe7923e97f6f61555418667645981e41b0be5f4d6ddf8767"),
    ("//Poor", "b062749448fdb7b1f33df837be857582ed89623a44a4432c31540e5901a1d250"),
    ("//Burn", "eaac56de22dcdc4ae6587e1bf84813b1931ca7097e3383fcb7d00f487691ce52"),
    ("the phrase itself", "345071da55e5dccefaaa440339415ef9f2663338a38f7da0df21be5ab4e055ef"),
    ("//Alice", "88dc3417d5058ec4b4503e0c12ea1a0a89be200fe98922423d4334014fa6b0ee"),
    ("//Alice//stash", "451781cd0c5504504f69ceec484cc66e4c22a2b6a9d20fb1a426d91ad074a2a8"),
    ("//Bob", "d17c2d7823ebf260fd138f2d7e27d114c0145d968b5ff5006125f2414fadae69"),
    ("//Bob//stash", "292684abbb28def63807c5f6e84e9e8689769eb37b1ab130d79dbfbf1b9a0d44"),
    ("//Charlie", "439660b36c6c03afafca027b910b4fecf99801834c62a5e6006f27d978de234f"),
    ("//Charlie//stash", "dd6a6118b6c11c9c9e5a4f34ed3d545e2c74190f90365c60c230fa82e9423bb9"),
    ("//Dave", "5e639b43e0052c47447dac87d6fd2b6ec50bdd4d0f614e4299c665249bbd09d9"),
    ("//Dave//stash", "1d0432d75331ab299065bee79cdb1bdc2497c597a3087b4d955c67e3c000c1e2"),
    ("//Eve", "1dfe3e22cc0d45c70779c1095f7489a8ef3cf52d62fbd8c2fa38c9f1723502b5"),
    ("//Eve//stash", "c833bdd2e1a7a18acc1c11f8596e2e697bb9b42d6b6051e474091a1d43a294d7"),
    ("//Ferdie", "568cb4a574c6d178feb39c27dfc8b3f789e5f5423e19c71633c748b9acf086b5"),
    ("//Ferdie//stash", "199d749dbf4b8135cb1f3c8fd697a390fc0679881a8a110c1d06375b3b62cd09"),
    ("//One", "16f97016bbea8f7b45ae6757b49efc1080accc175d8f018f9ba719b60b0815e4"),
    ("//One//stash", "c23a324f934696084380e0678ca1a0f5b53b21dcc1449640c2bf05b54f9d5104"),
    ("//Two", "5079bcd20fd97d7d2f752c4607012600b401950260a91821f73e692071c82bf5"),
    ("//Two//stash", "6b494f29d11ccd20aa6a9d249011e568923e9196878db7d5516c346cef82b959"),
    ("the phrase itself", "bc9539b36a87a586b1aa20fbe23a1db3ef3edcd65b44a2dc4444cc552687633f"),
    ("//Alice", "01e552298e47454041ea31273b4b630c64c104e4514aa3643490b8aaca9cf8ed"),
    ("//Alice//stash", "0dcdff87f204fcf502c4cdd417ca73df9d06bf640d2f50af5fbe8225fe026b4b"),
    ("//Bob", "3f6eaf1be5add88d84ca8b02d350074935dbf04f53f4287cb6abfd6b33413f8f"),
    ("//Bob//stash", "8140beed032fe6592e6b19e905ac3146465fcb2cc01de4abd0fed2c13a8ae3e2"),
    ("//Charlie", "6672035dd6010e55e08eb707d171b5ec790bfea44f93ea8b1d22503033de45cd"),
    ("//Charlie//stash", "62cb88bb1e8556d6ac19c961e601ae090a05fa8a414e76f407e0512603984e96"),
    ("//Dave", "2452e6b66a46450f6858ef72934278407eb42de707c9abe67b8cb41707565ef3"),
    ("//Dave//stash", "8455a656286fe7a47ac3820c75524b327a6c3d8b5c3d424176951c25ef743042"),
    ("//Eve", "b71a0812a1edaa236625ba525279201448be05f3a97c02f796db63944bf29895"),
    ("//Eve//stash", "cb4267cf5374f84a104d5f74956c4660e747ec3556aa685bf101bd3f6eb39382"),
    ("//Ferdie", "fb5ead485f2af13bc4ad5ec43055c15cfe893ed543f8052f2db45cc5c73d0a30"),
    ("//Ferdie//stash", "1506715124f1fd6b515f594ed37faf8b540a54e88fcea95c5e033459c3c4e6ee"),
    ("//One", "400098782d72cf06b10a0ca1e9324dcf2ca0a4b0028ecdeeb97f7108cee06ef7"),
    ("//One//stash", "5bf24dffb4142a2b66f9cfa0d478479fa3641ef43d2d78dc57aa9a95ef262715"),
    ("//Two", "ec6357524928b2ecf8f316aba8491b2f01dc74c96b590135d50f53f587e0117f"),
    ("//Two//stash", "9d8e74b4ed50b6ae21f13625ffd75f11a46000f7f82083ac384b382fcc0c2292"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alice_is_known_and_others_are_not() {
        let known = |digits: &str| {
            let bytes = crate::hex::from_hex(digits).unwrap();
            name_of(&AccountId(bytes.try_into().unwrap()))
        };
        let alice = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
        assert_eq!(known(alice), Some("//Alice"));
        assert_eq!(known(&alice.replace("d4", "d5")), None);
        assert!(ACCOUNTS.iter().all(|(_, digits)| digits.len() == 64));
    }
}
